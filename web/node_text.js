// @ts-check
// Shows on each OTCache node what it did: the text of its last result, and news while it runs.

import { app } from "../../scripts/app.js";
import { api } from "../../scripts/api.js";
import { findNode } from "./graph_links.js";

const WIDGET = "otcache_text";
const LINE_HEIGHT = 15;
const PADDING = 10;
const MARGIN = 6; // what the front end leaves free around a DOM widget, inside its height
const MAX_LINES = 8;
const OWN_PANELS = new Set([
  "OTCacheCalibrateAnchor",
  "OTCacheLoadAnchor",
  "OTCachePredictSchedule",
]); // say it themselves

/** @typedef {{ node: string, text: string }} TextEvent */

/**
 * Adds the text widget on first use, so that nodes that never ran keep their size.
 * @param {any} node
 */
function textWidget(node) {
  const existing = node.widgets?.find((/** @type {any} */ w) => w.name === WIDGET);
  if (existing) return existing;
  const element = document.createElement("div");
  element.setAttribute("role", "status");
  Object.assign(element.style, {
    fontSize: "11px",
    lineHeight: `${LINE_HEIGHT}px`,
    padding: `${PADDING / 2}px`,
    whiteSpace: "pre-wrap",
    overflowY: "auto",
    boxSizing: "border-box",
    color: "var(--input-text, #ddd)",
    background: "var(--comfy-input-bg, #222)",
    borderRadius: "4px",
  });
  let lines = 1;
  const height = () => Math.min(lines, MAX_LINES) * LINE_HEIGHT + PADDING + 2 * MARGIN;
  const widget = node.addDOMWidget(WIDGET, WIDGET, element, {
    serialize: false,
    hideOnZoom: false,
    margin: MARGIN,
    getMinHeight: height,
    getMaxHeight: height,
    getValue: () => element.textContent,
    setValue: () => {},
  });
  // What a run said is no part of the workflow: it is not saved with it.
  widget.serialize = false;
  widget.showText = (/** @type {string} */ text) => {
    element.textContent = text;
    // Long lines wrap: about one more line per 46 characters at the default width.
    lines = text.split("\n").reduce((sum, line) => sum + Math.max(1, Math.ceil(line.length / 46)), 0);
    const [width, least] = node.computeSize();
    node.setSize([Math.max(node.size[0], width), Math.max(node.size[1], least)]);
    node.setDirtyCanvas?.(true, true);
  };
  return widget;
}

/** @param {any} node */
function hasText(node) {
  const kind = String(node?.comfyClass ?? "");
  return kind.startsWith("OTCache") && !OWN_PANELS.has(kind);
}

/**
 * @param {any} node
 * @param {unknown} text
 */
function show(node, text) {
  if (hasText(node) && typeof text === "string" && text) textWidget(node).showText(text);
}

app.registerExtension({
  name: "otcache.nodeText",

  setup() {
    api.addEventListener("otcache.text", (/** @type {CustomEvent<TextEvent>} */ event) => {
      show(findNode(event.detail.node), event.detail.text);
    });
  },

  /** @param {any} node */
  nodeCreated(node) {
    if (!hasText(node)) return;
    const before = node.onExecuted;
    node.onExecuted = function (/** @type {any} */ output) {
      before?.apply(this, arguments);
      const text = output?.text;
      show(node, Array.isArray(text) ? text.join("\n") : text);
    };
  },
});
