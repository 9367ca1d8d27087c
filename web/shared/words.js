// @ts-check
// What the panels on the nodes say, in the languages of `locales/`: words_en.js and words_zh.js.

import { app } from "../../../scripts/app.js";
import { ENGLISH } from "./words_en.js";
import { CHINESE } from "./words_zh.js";

/** @type {Record<string, Record<string, string>>} */
const WORDS = { en: ENGLISH, zh: CHINESE };

/** The words for the page's language; English for one that has none. */
function words() {
  const locale = String(app.ui?.settings?.getSettingValue?.("Comfy.Locale") ?? "en");
  return WORDS[locale.split("-")[0]] ?? ENGLISH;
}

/** @typedef {{ rule: string } & Record<string, unknown>} Note  of nodes/page/advice.py */

/**
 * What the rules say that a run meets.
 * @param {Note[]} notes
 */
export function sayNotes(notes) {
  return notes.map((note) => say(`rule_${note.rule}`, note));
}

/**
 * A text with its values filled in.
 * @param {string} key
 * @param {Record<string, unknown>} [values]
 */
export function say(key, values = {}) {
  const text = words()[key] ?? ENGLISH[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ""));
}
