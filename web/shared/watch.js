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
 * Calls `update` with the inputs whenever they differ from those of the last call. One update runs
 * at a time; inputs that change meanwhile are taken when it is done, and only their last state.
 * @template T
 * @param {any} node
 * @param {(node: any) => T} inputsOf  plain values
 * @param {(inputs: T) => Promise<() => unknown>} update  returns what draws the result
 */
export function watch(node, inputsOf, update) {
  let seen = "";
  let busy = false;
  let placed = false;

  /** @param {T} inputs */
  async function run(inputs) {
    busy = true;
    try {
      (await update(inputs))();
    } finally {
      busy = false;
    }
  }

  function check() {
    if (!node.graph) return !placed; // not on the canvas yet, or no more
    placed = true;
    if (busy) return true;
    const inputs = inputsOf(node);
    const state = JSON.stringify(inputs);
    if (state === seen) return true;
    seen = state;
    run(inputs).catch((error) => console.error("OTCache:", error));
    return true;
  }

  watchers.add({ check });
  if (!running) requestAnimationFrame(look);
  running = true;
}
