// @ts-check
// Redraws a node's panel when what it depends on has changed, by whatever means: a slider, a link,
// undo, a node upstream. Looking at a few values once a frame is cheaper than hearing of each.

/** @typedef {{ check: () => boolean }} Watcher */

/** @type {Set<Watcher>} */
const watchers = new Set();
let running = false;

function look() {
  for (const watcher of watchers) {
    try {
      if (!watcher.check()) watchers.delete(watcher);
    } catch (error) {
      watchers.delete(watcher); // one node's trouble is not the others'
      console.error("OTCache:", error);
    }
  }
  running = watchers.size > 0;
  if (running) requestAnimationFrame(look);
}

/**
 * Whether a node is the one that its graph knows by its id. A node that undo, another workflow or
 * another tab has replaced keeps `graph`, which may even hold its successor under the same id.
 * @param {any} node
 */
export function isPlaced(node) {
  return Boolean(node.graph) && node.graph.getNodeById(node.id) === node;
}

/**
 * Calls `update` with the inputs whenever they differ from those of the last call, as long as the
 * node is in its graph. One update runs at a time; inputs that change meanwhile are taken when it
 * is done, and only their last state. A drawing that changes an input itself returns true: the inputs
 * are taken again, whatever they are by then (a slider still held may have set its own value anew).
 * @template T
 * @param {any} node
 * @param {(node: any) => T} inputsOf  plain values
 * @param {(inputs: T) => Promise<() => unknown>} update  returns what draws the result
 */
export function watch(node, inputsOf, update) {
  let seen = "";
  let busy = false;

  /** @param {T} inputs */
  async function run(inputs) {
    busy = true;
    try {
      const draw = await update(inputs);
      if (isPlaced(node) && draw() === true) seen = "";
    } finally {
      busy = false;
    }
  }

  function check() {
    if (!isPlaced(node)) return false;
    if (busy) return true;
    const inputs = inputsOf(node);
    const state = JSON.stringify(inputs);
    if (state === seen) return true;
    seen = state;
    run(inputs).catch((error) => console.error("OTCache:", error));
    return true;
  }

  const watcher = { check };
  function start() {
    watchers.add(watcher);
    if (!running) requestAnimationFrame(look);
    running = true;
  }

  // A node is made before it is placed, if it ever is, and may be taken out and placed again.
  const before = node.onAdded;
  node.onAdded = function () {
    before?.apply(this, arguments);
    start();
  };
  if (node.graph) start();
}
