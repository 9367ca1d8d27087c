// @ts-check
// Shows on each OTCache node what it did: the text of its last result, and news while it runs.
// Samplers have a bar of computed and skipped steps, and what to know about the run set apart:
// before it as advice, afterwards as the run's own note.

import { app } from "../../../scripts/app.js";
import { api } from "../../../scripts/api.js";
import { ask } from "./ask.js";
import { findNode } from "./graph_links.js";
import { addPanel, html, linesOf, makeRoom, rowsOf, svg } from "./panel.js";
import { onResult } from "./results.js";
import { drawStrip } from "./strip.js";
import { say, sayLines } from "./words.js";

const LINE = 15;
const FRAME = 14; // padding above and below
const BAR = 15;
const BUTTONS = 26;
const MAX_LINES = 14;
const MAX_CELLS = 200; // of a strip that can still be read
const SAID_BY_THEMSELVES = new Set([
  "OTCacheCalibrateAnchor",
  "OTCacheEditSchedule",
  "OTCacheLoadAnchor",
  "OTCachePredictSchedule",
]);

/**
 * @typedef {{ steps: number, computed: number, skipped: number, computed_steps?: number[], evaluations: number,
 *   notes: string[], learned?: string }} Report  of nodes/sampler.py
 * @typedef {import("./words.js").Message} Message
 * @typedef {{ text: string, of: string, asked: number }} Advice  the settings that it is of, and when it was asked for
 */

/** @param {any} node */
function hasText(node) {
  const kind = String(node?.comfyClass ?? "");
  return kind.startsWith("OTCache") && !SAID_BY_THEMSELVES.has(kind);
}

/** Computed steps high, skipped ones low: each where it was, or their numbers. @param {Report} report */
function drawBar({ steps, computed, skipped, computed_steps }) {
  const label = say("bar_label", { computed, skipped });
  const bar = svg("svg", { class: "otcache-run", viewBox: `0 0 ${steps} 1`, preserveAspectRatio: "none" });
  bar.setAttribute("role", "img");
  bar.setAttribute("aria-label", label);
  if (computed_steps?.length === computed && steps <= MAX_CELLS) {
    bar.append(...drawStrip(steps, computed_steps));
    return bar;
  }
  bar.append(
    svg("rect", { width: computed, height: 1, class: "otcache-computed" }),
    svg("rect", { x: computed, y: 0.65, width: skipped, height: 0.35, class: "otcache-skipped" }),
  );
  return bar;
}

/**
 * What to know about a run, the sampler's own share of it included.
 * @param {Message[]} notes
 * @param {Report} report
 */
function notesOf(notes, { evaluations, computed }) {
  const often = computed && evaluations / computed;
  return [sayLines(notes), often > 1.2 ? say("calls_often", { times: often.toFixed(1) }) : ""].filter(Boolean).join("\n");
}

/** @param {string} word */
const button = (word) => html("button", { type: "button", title: say(`${word}_help`) }, say(word));

/** @typedef {ReturnType<typeof createPanel>} Panel */
/** @type {WeakMap<object, Panel>} */
const panels = new WeakMap();

/** @param {any} node */
function createPanel(node) {
  const advice = html("div", { class: "otcache-advice" });
  const bar = html("div");
  const body = html("div", { class: "otcache-text" });
  const note = html("div", { class: "otcache-note" });
  const again = button("learn_again");
  const buttons = html("div", { class: "otcache-buttons" });
  const element = html("div", { class: "otcache-result", role: "status" }, advice, bar, body, note, buttons);
  /** @type {HTMLElement[]} */
  const lasting = []; // buttons that are there before a run, too
  let learned = ""; // the name of what the last run's model has taught
  let runs = 0;
  let shown = 0; // when the last run was
  /** @type {Advice} */
  let advised = { text: "", of: "", asked: 0 };
  let settled = advised; // what a run was made with: its own note tells the outcome
  let noted = ""; // that note: of other settings it says nothing

  function height() {
    const lines = [advice, body, note].reduce((sum, part) => sum + linesOf(part.textContent ?? "", node), 0);
    const rows = rowsOf([...buttons.children].map((each) => each.textContent ?? ""), node);
    return FRAME + (bar.firstChild ? BAR : 0) + BUTTONS * rows + LINE * Math.min(Math.max(lines, 1), MAX_LINES);
  }

  addPanel(node, "otcache_text", element, height);

  function fit() {
    const same = advised.of === settled.of;
    advice.textContent = same && advised.text === settled.text ? "" : advised.text;
    note.textContent = same ? noted : "";
    makeRoom(node);
  }

  /** @param {string} name */
  function offer(name) {
    learned = name;
    buttons.replaceChildren(...lasting, ...(name ? [again] : []));
  }

  again.addEventListener("click", async () => {
    const { answer, error } = await ask("forget", { body: { name: learned } });
    noted = answer ? say("forgotten") : (error ?? "");
    settled = advised;
    if (answer) offer("");
    fit();
  });

  return {
    /** @param {Message[]} lines @param {Report} [report] */
    show(lines, report) {
      const steps = report?.steps ? report : undefined;
      bar.replaceChildren(...(steps ? [drawBar(steps)] : []));
      const end = lines.length - (steps?.notes?.length ?? 0); // the notes are the last lines
      noted = steps ? notesOf(lines.slice(end), steps) : "";
      body.textContent = sayLines(lines.slice(0, end));
      offer(steps?.learned ?? "");
      if (steps) settled = advised;
      if (steps) shown = performance.now();
      if (steps) runs += 1;
      fit();
    },
    /** The result of a run before the page was opened. */
    keep() {
      if (body.textContent !== say("not_run")) return;
      body.textContent = say("result_kept");
      fit();
    },
    /** @param {Advice} given */
    advise(given) {
      advised = given;
      if (given.asked < shown && given.of !== settled.of) settled = given; // the run was quicker than the answer
      fit();
    },
    learned: () => ({ name: learned, runs }),
    /** @param {HTMLElement} made a button */
    offer(made) {
      lasting.push(made);
      offer(learned);
      fit();
    },
  };
}

/**
 * The panel is added on first use: most nodes that never ran keep their size.
 * @param {any} node
 */
function panelOf(node) {
  const panel = panels.get(node) ?? createPanel(node);
  panels.set(node, panel);
  return panel;
}

/**
 * Says before a run what to know of it; empty where there is nothing to say.
 * @param {any} node
 * @param {string} text
 * @param {unknown} settings  that it is of, plain values
 * @param {number} asked  when it was asked for, by ``performance.now``
 */
export function advise(node, text, settings, asked) {
  if (text && !panels.has(node)) showNotRun(node);
  if (panels.has(node)) panelOf(node).advise({ text, of: JSON.stringify(settings) ?? "", asked });
}

/**
 * The name of what a node's last run has taught it, empty for nothing, and how many runs it has shown.
 * @param {any} node
 */
export const learnedOn = (node) => panels.get(node)?.learned() ?? { name: "", runs: 0 };

/**
 * Puts a button on a node, from before its first run on.
 * @param {any} node
 * @param {string} word  its name in the words; that of its help ends in "_help"
 * @param {() => void} act
 */
export function offerOn(node, word, act) {
  if (!panels.has(node)) showNotRun(node);
  const made = button(word);
  made.addEventListener("click", act);
  panelOf(node).offer(made);
}

/** @param {any} node */
const showNotRun = (node) => panelOf(node).show([{ text: say("not_run") }]);

app.registerExtension({
  name: "otcache.nodeText",

  setup() {
    // ComfyUI runs no node again whose result it still has, and then tells no more of it.
    api.addEventListener("execution_cached", (/** @type {CustomEvent<any>} */ { detail }) => {
      for (const id of detail?.nodes ?? []) panels.get(findNode(id))?.keep();
    });
  },

  /** @param {any} node */
  nodeCreated(node) {
    if (!hasText(node)) return;
    // While a sampler shows previews, Nodes 2.0 does not see the widgets that are added.
    if (node.comfyClass === "OTCacheSampler") showNotRun(node);
    onResult(node, ({ lines, report }) => panelOf(node).show(lines, report?.computed ? report : undefined));
  },
});
