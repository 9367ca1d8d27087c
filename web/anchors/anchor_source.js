// @ts-check
// Which anchor feeds a node: an installed one by name, or one that the workflow carries.

import { originOf, valueOf, widgetOf } from "../shared/graph_links.js";
import { say } from "../shared/words.js";

export const INLINE = "inline_anchor"; // the input of Load OT Anchor that carries one
export const IN_WORKFLOW = "in this workflow"; // its name there; the same as in nodes/library/files.py
export const AUTOMATIC = "automatic"; // the same as in nodes/library/files.py
export const CHOSEN = "otcache_chosen"; // property of Load OT Anchor: what automatic chose last
export const SAVED = "otcache_saved"; // property of Calibrate OT Anchor: its last anchor's name

/** @typedef {{ name: string, text?: string, missing?: string }} AnchorSource */

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
  if (source.comfyClass === "OTCacheCalibrateAnchor") {
    const name = source.properties?.[SAVED];
    return name ? { name: String(name) } : { name: "", missing: say("not_calibrated") };
  }
  return { name: "", missing: say("unknown_source", { title: source.title ?? source.type }) };
}
