// @ts-check
// Load OT Anchor tells what it will load, and keeps an anchor in the workflow or saves one from it.

import { app } from "../../../scripts/app.js";
import { api } from "../../../scripts/api.js";
import { AUTOMATIC, CHOSEN, IN_WORKFLOW, INLINE, fileName } from "./anchor_source.js";
import { ask } from "../shared/ask.js";
import { asOneStep, everyNode, originOf, setWidget, valueOf, widgetOf } from "../shared/graph_links.js";
import { addPanel, html, linesOf, makeRoom, rowsOf } from "../shared/panel.js";
import { onResult } from "../shared/results.js";
import { watch } from "../shared/watch.js";
import { say, sayLines, sayMessage } from "../shared/words.js";

const LINE = 15;
const FRAME = 14; // padding above and below
const BUTTONS = 26; // a row of them

/** @typedef {{ anchor: any, lines: import("../shared/words.js").Message[] }} Shown  as the server shows it */
/** @typedef {{ file?: Shown, carried?: Shown, error?: string, warning?: string }} State */

/** @type {WeakMap<object, { name: string, warning: string }>} what the last run of a node said */
const lastRuns = new WeakMap();

/** @param {any} node */
function inputsOf(node) {
  const name = String(valueOf(node, "anchor_name") ?? "");
  const automatic = name === AUTOMATIC;
  const hasModel = !automatic || Boolean(originOf(node, "model"));
  const chosen = !automatic ? name : hasModel ? String(node.properties?.[CHOSEN] ?? "") : "";
  const run = lastRuns.get(node);
  const warning = run && run.name === chosen ? run.warning : "";
  return { name, chosen, hasModel, warning, carried: String(widgetOf(node, INLINE)?.value ?? "") };
}

/**
 * Asks for the named file and for the anchor that the workflow carries.
 * @param {ReturnType<typeof inputsOf>} inputs
 * @returns {Promise<State>}
 */
async function stateOf({ name, chosen, hasModel, warning, carried }) {
  /** @type {State} */
  const state = { warning };
  if (!chosen) {
    state.warning = say(hasModel ? "automatic_first" : "automatic_no_model");
  } else if (name !== IN_WORKFLOW) {
    const { answer, error } = await ask("anchors", { query: { name: chosen } });
    Object.assign(state, error ? { error } : { file: answer });
  } else if (!carried) {
    state.error = say("carries_none");
  }
  if (carried) {
    const { answer, error } = await ask("check", { body: { anchor: carried } });
    if (answer) state.carried = answer;
    else if (!state.file) state.error = error;
  }
  return state;
}

/** @param {State} state */
function carriedNote({ file, carried, error }) {
  if (!file && !carried) return error ?? "";
  if (!carried) return "";
  if (!file) return say("carried_only");
  return JSON.stringify(file.anchor) === JSON.stringify(carried.anchor) ? say("carried") : say("carried_differs");
}

/** @param {any} node @param {string} saved */
function choose(node, saved) {
  list(saved);
  asOneStep(() => setWidget(node, "anchor_name", saved));
}

/** @param {any} node @param {string} anchor */
const carry = (node, anchor) => asOneStep(() => setWidget(node, INLINE, anchor));

/** Lists a new anchor, as a refresh of the node definitions would. @param {string} saved */
function list(saved) {
  const kind = globalThis.LiteGraph.registered_node_types.OTCacheLoadAnchor?.nodeData;
  const nodes = everyNode().filter((node) => node.comfyClass === "OTCacheLoadAnchor");
  const lists = nodes.map((node) => widgetOf(node, "anchor_name")?.options?.values);
  for (const names of [kind?.input?.required?.anchor_name?.[1]?.options, ...lists]) {
    if (Array.isArray(names) && !names.includes(saved)) names.push(saved);
  }
}

/** @param {any} node */
function createPanel(node) {
  const text = html("div", { class: "otcache-text" });
  const note = html("div", { class: "otcache-note", role: "status" });
  const buttons = html("div", { class: "otcache-buttons" });
  const element = html("div", { class: "otcache-anchors" }, text, note, buttons);

  function height() {
    const words = [...buttons.children].map((offer) => offer.textContent ?? "");
    const lines = linesOf(text.textContent ?? "", node) + linesOf(note.textContent ?? "", node);
    return FRAME + LINE * Math.max(lines, 1) + BUTTONS * rowsOf(words, node);
  }

  addPanel(node, "otcache_anchors", element, height);

  /** @param {string} word @param {() => void} act */
  function button(word, act) {
    const made = html("button", { type: "button", title: say(`${word}_help`) }, say(word));
    made.addEventListener("click", act);
    return made;
  }

  /** @param {Shown} carried */
  async function save({ anchor }) {
    const body = { name: fileName(anchor.name), anchor: JSON.stringify(anchor) };
    const { answer, error } = await ask("anchors", { body });
    if (answer) choose(node, answer.saved);
    else note.textContent = error ?? "";
  }

  /** @param {State} state */
  function draw(state) {
    const { file, carried } = state;
    const about = carriedNote(state);
    const said = [state.warning, about].filter(Boolean).join("\n");
    text.textContent = sayLines((file ?? carried)?.lines ?? []);
    note.textContent = said;
    const offers = [];
    if (file && about !== say("carried")) {
      offers.push(button("keep", () => carry(node, JSON.stringify(file.anchor))));
    }
    if (carried && about !== say("carried")) offers.push(button("save", () => save(carried)));
    if (carried) offers.push(button("remove", () => carry(node, "")));
    buttons.replaceChildren(...offers);
    element.dataset.state = file || carried ? "shown" : "failed";
    makeRoom(node);
  }
  return draw;
}

app.registerExtension({
  name: "otcache.loadAnchor",

  setup() {
    api.addEventListener("otcache.text", (/** @type {CustomEvent<any>} */ { detail }) => {
      const saved = detail.report?.saved; // by Calibrate or Save OT Anchor, of whatever workflow
      if (typeof saved === "string") list(saved);
    });
  },

  /** @param {any} node */
  nodeCreated(node) {
    if (node.comfyClass !== "OTCacheLoadAnchor") return;
    const widget = widgetOf(node, INLINE);
    if (widget) {
      // Long JSON that nobody types: the panel's buttons fill it.
      widget.hidden = true;
      widget.computeSize = () => [0, -4]; // the classic renderer's gap between widgets, taken back
      // Some versions of Nodes 2.0 keep the first options, others look when they are replaced.
      Object.assign(widget.options, { hidden: true });
      widget.options = { ...widget.options };
    }
    const draw = createPanel(node);
    onResult(node, ({ lines, report }) => {
      if (!report?.name) return;
      // The warning is the first line.
      lastRuns.set(node, { name: String(report.name), warning: report.warning ? sayMessage(lines[0]) : "" });
      node.properties[CHOSEN] = String(report.name);
    });
    watch(node, inputsOf, async (inputs) => {
      const state = await stateOf(inputs);
      return () => draw(state);
    });
  },
});
