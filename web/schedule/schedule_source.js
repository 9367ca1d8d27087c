// @ts-check
// Which schedule feeds a node: the one that its Predict Cache Schedule shows.

import { originOf } from "../shared/graph_links.js";

/** @typedef {{ steps: number, budget: number }} Shown */

/** @type {WeakMap<object, Shown>} */
const shown = new WeakMap();

/**
 * Notes what a Predict Cache Schedule shows; nothing while it has an error to tell.
 * @param {any} node
 * @param {Shown} [view]
 */
export function noteSchedule(node, view) {
  if (view) shown.set(node, { steps: view.steps, budget: view.budget });
  else shown.delete(node);
}

/**
 * @param {any} node  a node with an input `schedule`
 * @returns {Shown | undefined}
 */
export function scheduleOf(node) {
  const source = originOf(node, "schedule")?.node;
  return source && shown.get(source);
}
