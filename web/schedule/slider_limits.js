// @ts-check
// The sliders of Predict Cache Schedule follow what the anchor and the steps allow.

import { app } from "../../../scripts/app.js";
import { setWidget, widgetOf } from "../shared/graph_links.js";

const MOST = 100; // the same as in nodes/schedule.py: ComfyUI refuses more

/** @typedef {{ lowest: number, highest: number, budget: boolean, rho: boolean }} Allowed
 *   of nodes/page/prediction_view.py: the budget's range, and which sliders have a say */

/** @type {WeakMap<object, { budget: number, rest: string }>} what each node was last drawn with */
const drawn = new WeakMap();

/** Nodes 2.0 reads a widget's options when the list of widgets changes. @param {any} node */
function readAgain(node) {
  node.widgets.splice(0, 1, node.widgets[0]);
  app.canvas?.setDirty?.(true, true);
}

/**
 * @param {any} node
 * @param {string} name
 * @param {Record<string, unknown>} options
 */
function limit(node, name, options) {
  const widget = widgetOf(node, name);
  if (!widget || Object.keys(options).every((key) => widget.options[key] === options[key])) return;
  Object.assign(widget.options, options);
  if ("disabled" in options) widget.disabled = options.disabled;
  readAgain(node);
}

/**
 * Sets the budget's range, and greys what has no say: a budget beside a target, rho beside the
 * anchor's own.
 * @param {any} node
 * @param {Allowed} allowed
 */
export function limitSliders(node, { lowest, highest, budget, rho }) {
  const max = Math.max(Math.min(highest, MOST), 2);
  limit(node, "budget", { min: Math.min(lowest, max - 1), max, disabled: !budget });
  limit(node, "rho", { disabled: !rho });
}

/**
 * Takes a budget that was moved out of its range back into it: older front ends do not heed a range
 * that has changed. One that the steps or the anchor have left behind stays, and the panel says so.
 * @param {any} node
 * @param {Record<string, any>} values of the widgets
 * @param {{ name: string }} anchor
 * @param {Allowed} allowed
 * @returns {boolean} whether it was
 */
export function returnBudget(node, values, anchor, { lowest, highest }) {
  const rest = JSON.stringify([{ ...values, budget: 0 }, anchor.name]);
  const before = drawn.get(node);
  const moved = before?.rest === rest && before.budget !== values.budget;
  const nearest = Math.max(lowest, Math.min(highest, values.budget));
  const takenBack = moved && nearest !== values.budget && widgetOf(node, "budget").value === values.budget;
  drawn.set(node, { budget: takenBack ? nearest : values.budget, rest });
  if (takenBack) setWidget(node, "budget", nearest);
  return takenBack;
}
