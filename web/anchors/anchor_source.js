// @ts-check
// Which anchor feeds a node: an installed one by name, or one that the workflow carries.

import { NEVER, originOf, valueOf, widgetOf } from "../shared/graph_links.js";
import { sourceIn } from "../shared/same_graph.js";
import { say } from "../shared/words.js";

export const INLINE = "inline_anchor"; // the input of Load OT Anchor that carries one
export const IN_WORKFLOW = "in this workflow"; // its name there; the same as in nodes/library/files.py
export const AUTOMATIC = "automatic"; // the same as in nodes/library/files.py
export const CHOSEN = "otcache_chosen"; // property of Load OT Anchor: what automatic chose last
export const SAVED = "otcache_saved"; // property of Calibrate OT Anchor: its last anchor's name

const CALIBRATES = "OTCacheCalibrateAnchor";

/** @typedef {{ name: string, text?: string, missing?: string }} AnchorSource */

/**
 * What an input `anchor` is linked to, and whether that calibrates: a Calibrate OT Anchor that is
 * bypassed or muted is linked, but does not run.
 * @param {any} node
 * @returns {{ node?: any, calibrates: boolean, runs: boolean }}
 */
export function anchorLink(node) {
  const origin = originOf(node, "anchor")?.node;
  const linked = sourceIn(node.graph, node, "anchor");
  const found = [origin, linked?.node].find((one) => one?.comfyClass === CALIBRATES);
  const runs = found !== undefined && found === origin && found.mode !== NEVER;
  return { node: found ?? origin ?? linked?.node ?? linked?.input, calibrates: Boolean(found), runs };
}

/** A name for an anchor's file, from any other. @param {unknown} name */
export function fileName(name) {
  return String(name).replace(/[^\p{L}\p{N}._ -]/gu, "_").replace(/^[. ]+/, "").slice(0, 80) || "anchor";
}

/**
 * @param {any} node  a node with an input `anchor`
 * @returns {AnchorSource}
 */
export function anchorOf(node) {
  const source = originOf(node, "anchor")?.node;
  if (!source) return { name: "", missing: say("no_anchor") };
  if (source.comfyClass === "OTCacheLoadAnchor") {
    const text = String(widgetOf(source, INLINE)?.value ?? "");
    const name = String(valueOf(source, "anchor_name") ?? "");
    if (name === AUTOMATIC) {
      if (!originOf(source, "model")) return { name, missing: say("automatic_no_model") };
      const chosen = source.properties?.[CHOSEN];
      return chosen ? { name: String(chosen) } : { name, missing: say("automatic_first") };
    }
    if (name === IN_WORKFLOW && !text) return { name, missing: say("carries_none") };
    return { name, text: text || undefined };
  }
  if (source.comfyClass === CALIBRATES) {
    const name = source.properties?.[SAVED];
    return name ? { name: String(name) } : { name: "", missing: say("not_calibrated") };
  }
  return { name: "", missing: say("unknown_source", { title: source.title ?? source.type }) };
}
