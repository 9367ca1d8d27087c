// @ts-check
// Shows on each OTCache node what it did: the text of its last result, and news while it runs.
// Samplers have a bar of computed and skipped steps, and what to know about the run set apart.

import { app } from "../../scripts/app.js";
import { api } from "../../scripts/api.js";
import { findNode } from "./graph_links.js";
import { addPanel, html, linesOf, makeRoom, svg } from "./panel.js";
import { say } from "./words.js";

const LINE = 15;
const FRAME = 14; // padding above and below
const BAR = 15;
const MAX_LINES = 14;
const SAID_BY_THEMSELVES = new Set([
  "OTCacheCalibrateAnchor",
  "OTCacheLoadAnchor",
  "OTCachePredictSchedule",
]);

/**
 * @typedef {{ steps: number, computed: number, skipped: number, evaluations: number,
 *   note: string }} Report  of nodes/sampler.py
 * @typedef {{ node: string, text: string, report?: Report }} TextEvent
 */

/** @param {any} node */
function hasText(node) {
  const kind = String(node?.comfyClass ?? "");
  return kind.startsWith("OTCache") && !SAID_BY_THEMSELVES.has(kind);
}

/** Computed steps high, skipped ones low. @param {Report} report */
function drawBar({ steps, computed, skipped }) {
  const label = say("bar_label", { computed, skipped });
  const bar = svg("svg", { class: "otcache-run", viewBox: `0 0 ${steps} 1`, preserveAspectRatio: "none" });
  bar.setAttribute("role", "img");
  bar.setAttribute("aria-label", label);
  bar.append(
    svg("rect", { width: computed, height: 1, class: "otcache-computed" }),
    svg("rect", { x: computed, y: 0.65, width: skipped, height: 0.35, class: "otcache-skipped" }),
  );
  return bar;
}

/** What to know about a run, the sampler's own share of it included. @param {Report} report */
function notesOf({ note, evaluations, computed }) {
  const often = computed && evaluations / computed;
  return [note, often > 1.2 ? say("calls_often", { times: often.toFixed(1) }) : ""].filter(Boolean).join("\n");
}

/** @type {WeakMap<object, (text: string, report?: Report) => void>} */
const shown = new WeakMap();

/** @param {any} node */
function createPanel(node) {
  const bar = html("div");
  const body = html("div", { class: "otcache-text" });
  const note = html("div", { class: "otcache-note" });
  const element = html("div", { class: "otcache-result", role: "status" }, bar, body, note);
  let height = LINE + FRAME;
  addPanel(node, "otcache_text", element, () => height);
  return (/** @type {string} */ text, /** @type {Report | undefined} */ report) => {
    const steps = report?.steps ? report : undefined;
    bar.replaceChildren(...(steps ? [drawBar(steps)] : []));
    note.textContent = steps ? notesOf(steps) : "";
    // The note is the text's end: it is not said twice.
    const own = steps?.note && text.endsWith(steps.note) ? text.slice(0, -steps.note.length) : text;
    body.textContent = own.trimEnd();
    const lines = linesOf(body.textContent, node) + linesOf(note.textContent, node);
    height = FRAME + (steps ? BAR : 0) + LINE * Math.min(Math.max(lines, 1), MAX_LINES);
    makeRoom(node);
  };
}

/**
 * The panel is added on first use: most nodes that never ran keep their size.
 * @param {any} node
 * @param {unknown} text
 * @param {Report} [report]
 */
function show(node, text, report) {
  if (!hasText(node) || typeof text !== "string" || !text) return;
  const draw = shown.get(node) ?? createPanel(node);
  shown.set(node, draw);
  draw(text, report);
}

app.registerExtension({
  name: "otcache.nodeText",

  setup() {
    api.addEventListener("otcache.text", (/** @type {CustomEvent<TextEvent>} */ { detail }) => {
      show(findNode(detail.node), detail.text, detail.report);
    });
  },

  /** @param {any} node */
  nodeCreated(node) {
    if (!hasText(node)) return;
    // While a sampler shows previews, Nodes 2.0 does not see the widgets that are added.
    if (node.comfyClass === "OTCacheSampler") show(node, say("not_run"));
    const before = node.onExecuted;
    node.onExecuted = function (/** @type {any} */ output) {
      before?.apply(this, arguments);
      const text = output?.text;
      const report = output?.otcache?.at?.(-1);
      show(node, Array.isArray(text) ? text.join("\n") : text, report?.computed ? report : undefined);
    };
  },
});
