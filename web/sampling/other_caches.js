// @ts-check
// Nodes that skip model calls by a rule of their own: beside a schedule, each skips what the other
// counts on.

import { BYPASSED, NEVER, followersOf, originOf } from "../shared/graph_links.js";

const CACHES = new Set(["EasyCache", "LazyCache"]); // of ComfyUI's core
const MODELS = new Set(["MODEL"]);
const MAX_HOPS = 50;

/** @param {any} node */
const isCache = (node) => CACHES.has(String(node.comfyClass)) && node.mode !== BYPASSED && node.mode !== NEVER;

/** @param {any} node @returns {any[]} the nodes that its model comes from, and itself */
function upstream(node) {
  const found = [];
  for (let at = node; at && found.length < MAX_HOPS; at = originOf(at, "model")?.node) found.push(at);
  return found;
}

/** @param {any} node @param {number} [hops] @returns {any[]} the nodes that its model goes to */
function downstream(node, hops = 0) {
  if (hops > MAX_HOPS) return [];
  return followersOf(node, MODELS).flatMap((next) => [next, ...downstream(next, hops + 1)]);
}

/**
 * The title of another cache on the model of a node, if there is one.
 * @param {any} node
 * @returns {string | undefined}
 */
export function otherCache(node) {
  const other = [...upstream(node), ...downstream(node)].find(isCache);
  return other && String(other.title ?? other.comfyClass);
}
