// @ts-check
// Follows links on the page: through reroutes, bypassed nodes, primitives and subgraphs.

import { app } from "../../../scripts/app.js";

export const SUBGRAPH_INPUT = -10; // LiteGraph's id for the node that stands for a subgraph's inputs
const SUBGRAPH_OUTPUT = -20; // and for its outputs
export const NEVER = 2; // modes of nodes
export const BYPASSED = 4;
const MAX_HOPS = 100; // a broken file may link in a circle

/** @typedef {{ node?: any, slot?: number, value?: any }} Origin  a node's output, or a value */

/** The graph that holds all others. */
function root() {
  return app.rootGraph ?? app.graph;
}

/**
 * Every node of the open workflow, those in subgraphs included.
 * @param {any} [graph]
 * @returns {any[]}
 */
export function everyNode(graph = root()) {
  const nodes = graph?.nodes ?? [];
  return nodes.flatMap((/** @type {any} */ node) => [node, ...(node.subgraph ? everyNode(node.subgraph) : [])]);
}

/** Tells the open workflow from others; a copy saved under another name keeps it. */
export function workflowId() {
  return String(root().id ?? "");
}

/**
 * The node behind an execution id; ids of nodes in subgraphs read "outer:inner".
 * @param {string} id
 */
export function findNode(id) {
  let graph = root();
  let node = null;
  for (const part of String(id).split(":")) {
    node = graph?.getNodeById?.(Number(part)) ?? null;
    graph = node?.subgraph;
  }
  return node;
}

/**
 * The first node that stands for a subgraph, anywhere below `graph`.
 * @param {any} subgraph
 * @param {any} graph
 * @returns {any}
 */
export function holderOf(subgraph, graph = root()) {
  for (const node of graph?.nodes ?? graph?._nodes ?? []) {
    if (!node.subgraph) continue;
    if (node.subgraph === subgraph || node.subgraph.id === subgraph?.id) return node;
    const deeper = holderOf(subgraph, node.subgraph);
    if (deeper) return deeper;
  }
  return null;
}

/**
 * The id that the server knows a node by: "outer:inner" in subgraphs.
 * @param {any} node
 */
export function executionId(node) {
  const parts = [node.id];
  let holder = node.graph && node.graph !== root() ? holderOf(node.graph) : null;
  while (holder) {
    parts.unshift(holder.id);
    holder = holder.graph !== root() ? holderOf(holder.graph) : null;
  }
  return parts.join(":");
}

/** @param {any} graph @param {any} id a link's id, or nothing */
export const linkOf = (graph, id) => (id == null ? null : (graph?.getLink?.(id) ?? graph?.links?.[id] ?? null));

/** @param {any} node @param {string} name */
export const inputOf = (node, name) => node?.inputs?.find((/** @type {any} */ i) => i.name === name);

/**
 * @param {any} graph
 * @param {any} id a link's id
 * @param {number} hops
 * @returns {Origin | null}
 */
function followLink(graph, id, hops) {
  if (hops > MAX_HOPS) return null;
  const link = linkOf(graph, id);
  if (!link) return null;
  if (Number(link.origin_id) === SUBGRAPH_INPUT) return leaveSubgraph(graph, link.origin_slot, hops);
  const node = graph.getNodeById(link.origin_id);
  return node ? throughNode(node, link.origin_slot, hops) : null;
}

/**
 * @param {any} subgraph
 * @param {number} slot
 * @param {number} hops
 * @returns {Origin | null}
 */
function leaveSubgraph(subgraph, slot, hops) {
  const holder = holderOf(subgraph);
  const input = holder?.inputs?.[slot];
  if (!input) return null;
  if (input.link != null) return followLink(holder.graph, input.link, hops + 1);
  // A widget that the subgraph shows on itself.
  const name = input.widget?.name ?? input.name;
  const widget = holder.widgets?.find((/** @type {any} */ w) => w.name === name);
  return widget ? { value: widget.value } : null;
}

/**
 * @param {any} node
 * @param {number} slot
 * @param {number} hops
 * @returns {Origin | null}
 */
function throughNode(node, slot, hops) {
  if (node.subgraph) {
    return followLink(node.subgraph, node.subgraph.outputs?.[slot]?.linkIds?.[0], hops + 1);
  }
  const passes = node.mode === BYPASSED || (node.isVirtualNode && node.inputs?.length === 1);
  if (!passes) return { node, slot };
  const type = node.outputs?.[slot]?.type;
  const inputs = node.inputs ?? [];
  const input = inputs.length === 1 ? inputs[0] : inputs.find((/** @type {any} */ i) => i.type === type);
  return input ? followLink(node.graph, input.link, hops + 1) : null;
}

/**
 * What feeds an input, or null where nothing does.
 * @param {any} node
 * @param {string} name
 * @returns {Origin | null}
 */
export function originOf(node, name) {
  const input = inputOf(node, name);
  return input ? followLink(node.graph, input.link, 0) : null;
}

/**
 * The nodes at the other ends of links, in and out of subgraphs.
 * @param {any} graph
 * @param {any[] | null | undefined} ids of the links
 * @param {number} hops
 * @returns {any[]}
 */
function linkEnds(graph, ids, hops) {
  if (hops > MAX_HOPS) return [];
  return (ids ?? []).flatMap((id) => {
    const link = linkOf(graph, id);
    if (!link) return [];
    if (Number(link.target_id) === SUBGRAPH_OUTPUT) {
      const holder = holderOf(graph);
      return linkEnds(holder?.graph, holder?.outputs?.[link.target_slot]?.links, hops + 1);
    }
    const node = graph.getNodeById(link.target_id);
    if (!node?.subgraph) return node ? [node] : [];
    return linkEnds(node.subgraph, node.subgraph.inputs?.[link.target_slot]?.linkIds, hops + 1);
  });
}

/**
 * The nodes that take what a node gives out.
 * @param {any} node
 * @param {Set<string>} types of the outputs that count
 * @returns {any[]}
 */
export function followersOf(node, types) {
  const outputs = node.outputs?.filter((/** @type {any} */ output) => types.has(output.type)) ?? [];
  return outputs.flatMap((/** @type {any} */ output) => linkEnds(node.graph, output.links, 0));
}

/** @param {any} node @param {string} name */
export function widgetOf(node, name) {
  return node.widgets?.find((/** @type {any} */ w) => w.name === name);
}

/**
 * Sets a widget as a user would.
 * @param {any} node @param {string} name @param {unknown} value
 */
export function setWidget(node, name, value) {
  const widget = widgetOf(node, name);
  if (!widget) return;
  widget.value = value;
  widget.callback?.(value, app.canvas, node); // Nodes 2.0 shows what it hears of
  app.canvas?.setDirty?.(true, true);
}

/**
 * A widget's value, or that of the constant that is linked to it. Undefined where only a run can
 * tell the value.
 * @param {any} node
 * @param {string} name
 */
export function valueOf(node, name) {
  const own = widgetOf(node, name)?.value;
  if (inputOf(node, name)?.link == null) return own;
  const origin = originOf(node, name);
  if (!origin) return own;
  if (!origin.node) return origin.value;
  const constant = origin.node.inputs?.every((/** @type {any} */ i) => i.link == null) ?? true;
  const value = origin.node.widgets?.[0]?.value;
  return constant && typeof value === typeof own ? value : undefined;
}

/**
 * Makes a change a step of its own for undo, whatever the front end listens to of a click.
 * @param {() => void} change
 */
export function asOneStep(change) {
  app.canvas?.emitBeforeChange?.();
  try {
    change();
  } finally {
    app.canvas?.emitAfterChange?.();
  }
}
