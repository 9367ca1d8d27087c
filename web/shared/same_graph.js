// @ts-check
// What feeds an input within one graph, and links to it from there: a new node can be fed as another is.

import { SUBGRAPH_INPUT, holderOf, inputOf, linkOf } from "./graph_links.js";

const MAX_DEPTH = 50; // a broken file may nest in a circle

/**
 * The output in a graph that feeds an input, whatever lies before it: of a node there, or a
 * subgraph's own input. Null where nothing feeds it, or from elsewhere.
 * @param {any} graph  the node's, or one around it
 * @param {any} node
 * @param {string} name
 * @returns {{ node?: any, input?: any, slot: number } | null}
 */
export function sourceIn(graph, node, name) {
  let [at, link] = [node?.graph, linkOf(node?.graph, inputOf(node, name)?.link)];
  for (let hops = 0; link && hops < MAX_DEPTH; hops++) {
    const slot = link.origin_slot;
    const outside = Number(link.origin_id) === SUBGRAPH_INPUT;
    if (at === graph) return outside ? { input: at.inputs[slot], slot } : { node: at.getNodeById(link.origin_id), slot };
    const holder = outside ? holderOf(at) : null;
    at = holder?.graph;
    link = linkOf(at, holder?.inputs?.[slot]?.link);
  }
  return null;
}

/**
 * Links what `sourceIn` has found to an input in the same graph; whether it took it.
 * @param {{ node?: any, input?: any, slot: number } | null} source
 * @param {any} node
 * @param {string} name
 */
export function feed(source, node, name) {
  const slot = node.inputs?.indexOf(inputOf(node, name)) ?? -1;
  if (slot < 0) return false;
  return Boolean(source?.node?.connect(source.slot, node, slot) ?? source?.input?.connect(node.inputs[slot], node));
}
