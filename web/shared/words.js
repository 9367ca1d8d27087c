// @ts-check
// What the panels on the nodes say, in the languages of `locales/`: words_en.js and words_zh.js.

import { app } from "../../../scripts/app.js";
import { ENGLISH } from "./words_en.js";
import { CHINESE } from "./words_zh.js";
import { CHINESE_MESSAGES } from "./messages_zh.js";

/** @type {Record<string, Record<string, string>>} */
const WORDS = { en: ENGLISH, zh: CHINESE };

/** @type {Record<string, Record<string, string>>} what the server says, by its key there */
const MESSAGES = { zh: CHINESE_MESSAGES };

/** The page's language, without its country. */
const language = () => String(app.ui?.settings?.getSettingValue?.("Comfy.Locale") ?? "en").split("-")[0];

/** @param {string} text @param {Record<string, unknown>} values */
const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ""));

/**
 * @typedef {{ text: string, key?: string, values?: Record<string, unknown> }} Message
 *   of otcache_core/message.py: English, and for some the name of its words and what to fill in
 */

/**
 * What the server says, in the page's language where there are words for it.
 * @param {Message} message
 */
export function sayMessage({ text, key = "", values = {} }) {
  const own = MESSAGES[language()]?.[key];
  return own ? fill(own, values) : text;
}

/** @param {Message[]} lines */
export const sayLines = (lines) => lines.map(sayMessage).join("\n");

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
  return fill(WORDS[language()]?.[key] ?? ENGLISH[key] ?? key, values);
}
