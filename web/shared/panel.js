// @ts-check
// Panels on nodes: elements, the stylesheet, and a DOM widget of a fixed least height.

import { app } from "../../../scripts/app.js";
import { watch } from "./watch.js";

const SVG = "http://www.w3.org/2000/svg";
const CHARACTER = 5.2; // pixels, about
const EDGES = 30; // pixels beside a panel's text
const DEFAULT_WIDTH = 270;
const MARGIN = 6; // what the front end leaves free around a DOM widget, inside its height

const SHEET = new URL("./otcache.css", import.meta.url).href;

/**
 * An HTML element; children are elements or plain text, never markup.
 * @param {string} tag
 * @param {Record<string, string>} attributes
 * @param {(Node | string)[]} children
 */
export function html(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/**
 * An SVG element.
 * @param {string} tag
 * @param {Record<string, string | number>} attributes
 * @param {(Node | string)[]} children
 */
export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

/**
 * A sample of a line beside its meaning.
 * @param {string} name the line's class, without "otcache-"
 * @param {string} label
 */
export function key(name, label) {
  const sample = svg("svg", { class: "otcache-key", viewBox: "0 0 14 9" });
  sample.append(svg("path", { d: "M0 4.5H14", class: `otcache-${name}` }));
  return html("span", {}, sample, label);
}

/**
 * @template {Element} E
 * @param {E} element
 * @param {Record<string, string | number>} attributes
 * @param {(Node | string)[]} children
 */
function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  element.append(...children);
  return element;
}

/**
 * After undo, Nodes 2.0 may go on showing the panel of the node that was there before.
 * @param {any} node
 * @param {HTMLElement} element
 */
function replaceStale(node, element) {
  // The page shows one graph at a time, and ids repeat from graph to graph.
  if (node.graph !== app.canvas?.graph) return;
  const place = `[data-node-id="${CSS.escape(node.id)}"] [data-panel="${element.dataset.panel}"]`;
  document.querySelector(place)?.replaceWith(element);
}

/**
 * Puts an element on a node. It is no part of the saved workflow.
 * @param {any} node
 * @param {string} name
 * @param {HTMLElement} element
 * @param {() => number} height pixels that the element needs
 */
export function addPanel(node, name, element, height) {
  const withMargin = () => height() + 2 * MARGIN;
  element.classList.add("otcache-panel");
  // Within the panel: the page's own head is not ours to add to.
  element.prepend(html("link", { rel: "stylesheet", href: SHEET }));
  const widget = node.addDOMWidget(name, name, element, {
    serialize: false,
    hideOnZoom: false,
    margin: MARGIN,
    getMinHeight: withMargin,
    getValue: () => "",
    setValue: () => {},
  });
  widget.serialize = false;
  element.dataset.panel = name;
  watch(node, () => element.isConnected, async (shown) => () => shown || replaceStale(node, element));
  return widget;
}

/** In characters of Latin script; one of Chinese is twice as wide. @param {string} line */
function widthOf(line) {
  return line.length + [...line].filter((character) => character >= "\u2e80").length;
}

/**
 * How many lines a text takes on a node, about.
 * @param {string} text
 * @param {any} node
 */
export function linesOf(text, node) {
  if (!text) return 0;
  const fit = (Math.max(node.size?.[0] ?? 0, DEFAULT_WIDTH) - EDGES) / CHARACTER;
  return text.split("\n").reduce((sum, line) => sum + Math.max(1, Math.ceil(widthOf(line) / fit)), 0);
}

/**
 * Gives a node the room that its widgets ask for; never takes any away.
 * @param {any} node
 */
export function makeRoom(node) {
  const [width, height] = node.computeSize();
  if (node.size[0] >= width && node.size[1] >= height) return;
  node.setSize([Math.max(node.size[0], width), Math.max(node.size[1], height)]);
  node.setDirtyCanvas?.(true, true);
}
