// @ts-check
// Which schedule feeds a node: the one that its Predict or Edit Cache Schedule shows.

import { originOf } from "../shared/graph_links.js";

/** @typedef {{ steps: number, budget: number }} Size */
/** @typedef {Size & { computed_steps: number[], look_back: number[], estimator: string, sigmas?: number[] | null }} Shown */

/** @type {WeakMap<object, Shown>} */
const shown = new WeakMap();

/**
 * Notes what a node with a schedule shows; nothing while it has an error to tell.
 * @param {any} node
 * @param {Shown} [view]
 */
export function noteSchedule(node, view) {
  if (view) shown.set(node, view);
  else shown.delete(node);
}

/**
 * The schedule as it is shown, step by step.
 * @param {any} node  a node with an input `schedule`
 * @returns {Shown | undefined}
 */
export function shownTo(node) {
  const source = originOf(node, "schedule")?.node;
  return source && shown.get(source);
}

/**
 * @param {any} node  a node with an input `schedule`
 * @returns {Size | undefined}
 */
export function scheduleOf(node) {
  const schedule = shownTo(node);
  return schedule && { steps: schedule.steps, budget: schedule.budget };
}
