// @ts-check
// Finds a place for a new node beside another one, and shows a node.

import { app } from "../../../scripts/app.js";

const GAP = 40;
const TITLE = 30; // above a node's place
const GROWTH = 120; // of the node beside, whose panel has more to say for the new one

/** @typedef {{ left: number, top: number, right: number, bottom: number }} Box */

/** What may not be covered, with a gap around it. @param {any} node @returns {Box} */
function boxOf({ pos: [x, y], size: [width, height] }) {
  return { left: x - GAP, top: y - TITLE - GAP, right: x + width + GAP, bottom: y + height + GAP };
}

/**
 * The nearest free height of a column, upwards or downwards.
 * @param {Box[]} taken
 * @param {Box} box  as it would lie beside the node
 * @param {-1 | 1} way
 */
function slide(taken, box, way) {
  let [top, bottom] = [box.top, box.bottom];
  for (let hops = 0; hops <= taken.length; hops++) {
    const hit = taken.find((b) => b.left < box.right && b.right > box.left && b.top < bottom && b.bottom > top);
    if (!hit) break;
    const shift = way > 0 ? hit.bottom - top : hit.top - bottom;
    [top, bottom] = [top + shift, bottom + shift];
  }
  return top + TITLE;
}

/**
 * The place nearest to a node where a new one covers none: left or right of it, below or above.
 * @param {any} beside
 * @param {[number, number]} size of the new one
 * @returns {[number, number]}
 */
export function freePlace(beside, [width, height]) {
  const { graph, pos, size } = beside;
  const [x, y] = pos;
  const ends = [graph.inputNode, graph.outputNode].filter(Boolean); // of a subgraph
  const taken = [...graph.nodes, ...ends].map(boxOf);
  const own = boxOf(beside);
  taken.push({ ...own, bottom: own.bottom + GROWTH });
  const far = (/** @type {[number, number]} */ [left, top]) => Math.abs(left - x) + Math.abs(top - y);
  const places = [x - GAP - width, x, x + size[0] + GAP].flatMap((left) => {
    const box = { left, top: y - TITLE, right: left + width, bottom: y + height };
    return [slide(taken, box, 1), slide(taken, box, -1)].map((top) => /** @type {[number, number]} */ ([left, top]));
  });
  return places.reduce((best, place) => (far(place) < far(best) ? place : best));
}

/** @param {any} node */
function show(node) {
  const { canvas } = app;
  if (canvas.graph !== node.graph) canvas.setGraph?.(node.graph);
  canvas.deselectAll?.();
  canvas.selectItems?.([node]);
  canvas.centerOnNode?.(node);
}

/**
 * Selects a node, in the middle of the view, once the click that asks for it is over: a click on a
 * panel selects the panel's own node.
 * @param {any} node
 */
export const bringIntoView = (node) => requestAnimationFrame(() => show(node));
