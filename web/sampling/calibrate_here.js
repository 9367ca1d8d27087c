// @ts-check
// A button on the node OTCache that adds Calibrate OT Anchor for its model, wired from the run that
// the model goes to. It queues nothing: the user sees what is there, and what it will cost.

import { app } from "../../../scripts/app.js";
import { anchorLink, fileName } from "../anchors/anchor_source.js";
import { ask } from "../shared/ask.js";
import { bringIntoView, freePlace } from "../shared/free_place.js";
import { asOneStep, inputOf, setWidget, valueOf, widgetOf } from "../shared/graph_links.js";
import { offerOn } from "../shared/node_text.js";
import { feed, sourceIn } from "../shared/same_graph.js";
import { tell } from "../shared/tell.js";
import { say } from "../shared/words.js";
import { runOf, samplersFrom } from "./planned_runs.js";
import { modelFile, settingsOf, socketsOf } from "./sampled_with.js";

const KIND = "OTCacheCalibrateAnchor";
const FEWEST_CALLS = 4; // the same as in otcache_core/auto_plan.py
const PANEL = 320; // pixels of what the new node shows while it calibrates
const TALLER = 1.6; // Nodes 2.0 draws as many widgets on so much more

/** Anchors are for runs from noise to picture. @param {any} sampler */
function isWhole(sampler) {
  const run = runOf(sampler);
  return !run?.part && !((run?.denoise ?? 1) < 1);
}

/** Whether calibration takes a sampler: one call a step, no noise of its own. @param {string} name */
async function isTaken(name) {
  const run = { steps: 50, sampler_name: name, part: false };
  const { answer } = await ask("advice", { body: { schedule: { steps: 50, budget: 8 }, runs: [run] } });
  return answer?.notes?.length === 0;
}

/**
 * What the new node is set to; undefined where the run does not say, or calibration cannot take it.
 * @param {any} node
 * @param {any} sampler
 */
async function valuesFor(node, sampler) {
  const settings = settingsOf(sampler);
  if (valueOf(node, "grid") === "fine") settings.sampler_name = "euler"; // takes the steps of such a run
  else if (settings.sampler_name && !(await isTaken(settings.sampler_name))) settings.sampler_name = undefined;
  return settings;
}

/**
 * Sets what a widget can take; whether it did.
 * @param {any} node @param {string} name @param {unknown} value
 */
function set(node, name, value) {
  const options = widgetOf(node, name)?.options?.values;
  if (value === undefined || (Array.isArray(options) && !options.includes(value))) return false;
  setWidget(node, name, value);
  return true;
}

/**
 * @param {any} node of OTCache
 * @param {any} sampler
 * @param {Awaited<ReturnType<typeof valuesFor>>} values
 */
function add(node, sampler, values) {
  const { graph } = node;
  const made = globalThis.LiteGraph.createNode(KIND);
  const file = modelFile(node);
  const calls = Number(valueOf(node, "calls") ?? 0);
  set(made, "size", "quick");
  if (file) set(made, "name", fileName(file));
  if (calls && calls < valueOf(made, "anchor_budget")) set(made, "anchor_budget", Math.max(calls, FEWEST_CALLS));
  const unset = Object.entries(values).filter(([name, value]) => !set(made, name, value));
  const [width, height] = made.computeSize();
  made.pos = freePlace(node, [width, TALLER * height + PANEL]);
  graph.add(made);
  const sockets = { model: { node, name: "model" }, ...socketsOf(sampler) };
  const open = Object.entries(sockets).filter(([name, socket]) => {
    return !socket || !feed(sourceIn(graph, socket.node, socket.name), made, name);
  });
  feed({ node: made, slot: 0 }, node, "anchor");
  return { made, open: open.map(([name]) => name), unset: unset.map(([name]) => name) };
}

/** The names of inputs as the page shows them. @param {any} node @param {string[]} names */
function shown(node, names) {
  const sockets = names.map((name) => inputOf(node, name) ?? { name });
  return sockets.map((s) => s.label ?? s.localized_name ?? s.name).join(", ");
}

/** @param {any} node of OTCache */
async function calibrateHere(node) {
  const linked = anchorLink(node);
  if (linked.calibrates) return bringIntoView(linked.node);
  if (linked.node) return tell(say("anchor_taken", { title: linked.node.title ?? linked.node.name }), "warn");
  const samplers = samplersFrom(node);
  if (!samplers.length) return tell(say("calibrate_no_run"), "warn");
  const sampler = samplers.find(isWhole);
  if (!sampler) return tell(say("calibrate_part"), "warn");
  const values = await valuesFor(node, sampler);
  if (anchorLink(node).node) return; // pressed twice while the server was asked
  asOneStep(() => {
    const { made, open, unset } = add(node, sampler, values);
    const lines = [say("calibrate_added")];
    if (open.length) lines.push(say("calibrate_open", { names: shown(made, open) }));
    if (unset.length) lines.push(say("calibrate_unset", { names: shown(made, unset) }));
    bringIntoView(made);
    tell(lines.join("\n"), open.length ? "warn" : "info");
  });
}

app.registerExtension({
  name: "otcache.calibrateHere",

  /** @param {any} node */
  nodeCreated(node) {
    if (node.comfyClass === "OTCacheAuto") offerOn(node, "calibrate", () => calibrateHere(node));
  },
});
