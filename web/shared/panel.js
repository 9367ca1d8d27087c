// @ts-check
// Panels on nodes: elements, the stylesheet, and a DOM widget of a fixed least height.

import { app } from "../../../scripts/app.js";
import { watch } from "./watch.js";

const SVG = "http://www.w3.org/2000/svg";
const CHARACTER = 5.2; // pixels, about
const EDGES = 30; // pixels beside a panel's text
const BUTTON = 22; // pixels beside a button's word
const DEFAULT_WIDTH = 270;
const ROUNDING = 1; // pixels by which a renderer may change a height that it was given
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
    hideInPanel: true, // a list of settings is no place for it
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

/** The pixels that a panel's text has from edge to edge. @param {any} node */
const widthFor = (node) => Math.max((node.size?.[0] || DEFAULT_WIDTH) - EDGES, 10 * CHARACTER);

/**
 * How many rows buttons take on a node, about.
 * @param {string[]} words on the buttons
 * @param {any} node
 */
export function rowsOf(words, node) {
  let [rows, used] = [0, Infinity];
  for (const width of words.map((word) => widthOf(word) * CHARACTER + BUTTON)) {
    if (used + width > widthFor(node)) [rows, used] = [rows + 1, 0];
    used += width;
  }
  return rows;
}

/**
 * How many lines a text takes on a node, about.
 * @param {string} text
 * @param {any} node
 */
export function linesOf(text, node) {
  if (!text) return 0;
  const fit = widthFor(node) / CHARACTER;
  return text.split("\n").reduce((sum, line) => sum + Math.max(1, Math.ceil(widthOf(line) / fit)), 0);
}

/**
 * A node's height by itself, what it was given, and what the renderer made of that: Nodes 2.0 takes
 * more where its own parts need it.
 * @typedef {{ own: number, given: number, made: number, settled: boolean }} Room
 * @type {WeakMap<object, Room>}
 */
const rooms = new WeakMap();

/** @param {any} node @param {Room} room */
function settle(node, room) {
  const afterLayout = () => requestAnimationFrame(() => Object.assign(room, { made: node.size[1], settled: true }));
  requestAnimationFrame(afterLayout);
}

/**
 * Gives a node the room that its widgets ask for, and takes back what it gave once they ask for less;
 * a height that the user has set since stays.
 * @param {any} node
 */
export function makeRoom(node) {
  const [width, needed] = node.computeSize();
  const room = rooms.get(node);
  const untouched = room && (!room.settled || Math.abs(room.made - node.size[1]) <= ROUNDING);
  const own = untouched ? room.own : node.size[1];
  const given = Math.max(own, needed);
  if (untouched && room.given === given && node.size[0] >= width) return;
  const made = { own, given, made: given, settled: false };
  rooms.set(node, made);
  if (node.size[0] < width || node.size[1] !== given) {
    node.setSize([Math.max(node.size[0], width), given]);
    node.setDirtyCanvas?.(true, true);
  }
  settle(node, made);
}
