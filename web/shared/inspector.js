// @ts-check
// Tells about the item under the pointer, or the one that the arrow keys have reached; a click, Enter
// or the space bar picks it, where items can be picked.

import { svg } from "./panel.js";

/**
 * @param {HTMLElement} plot  items lie in it from left to right, all of one width
 * @param {Element} chart  what draws them, one unit wide each: the inspected one is marked there
 * @param {HTMLElement} output  receives the words
 * @param {{ hint: (count: number) => string, describe: (index: number) => string }} words
 * @param {(index: number) => void} [pick]
 */
export function createInspector(plot, chart, output, { hint, describe }, pick) {
  const cursor = svg("rect", { class: "otcache-cursor", width: 1, height: 1, y: 0 });
  let count = 0;
  let at = -1;
  plot.tabIndex = 0;
  plot.setAttribute("role", "slider");
  plot.setAttribute("aria-readonly", String(!pick));
  plot.setAttribute("aria-valuemin", "0");
  output.setAttribute("aria-live", "polite");

  /** @param {number} index */
  function inspect(index) {
    at = count ? Math.max(-1, Math.min(count - 1, index)) : -1;
    cursor.setAttribute("x", String(at));
    if (at < 0) cursor.remove();
    else chart.append(cursor);
    output.textContent = !count ? "" : at < 0 ? hint(count) : describe(at);
    plot.setAttribute("aria-valuemax", String(Math.max(count - 1, 0)));
    plot.setAttribute("aria-valuenow", String(Math.max(at, 0)));
    plot.setAttribute("aria-valuetext", output.textContent);
  }

  /** @param {PointerEvent} event */
  function indexUnder(event) {
    const { left, width } = plot.getBoundingClientRect();
    return Math.floor(((event.clientX - left) / width) * count);
  }

  plot.addEventListener("pointermove", (event) => inspect(indexUnder(event)));
  plot.addEventListener("pointerleave", () => inspect(-1));
  plot.addEventListener("blur", () => inspect(-1));
  plot.addEventListener("keydown", (event) => {
    const moves = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: count - 1 };
    const picks = pick && (event.key === "Enter" || event.key === " ");
    if (!picks && !(event.key in moves)) return;
    event.preventDefault();
    event.stopPropagation(); // the canvas would move its nodes
    if (!picks) inspect(Math.max(0, moves[/** @type {keyof typeof moves} */ (event.key)]));
    else if (at >= 0) pick(at);
  });
  if (pick) addPicking(plot, indexUnder, (index) => index >= 0 && index < count && pick(index));

  return {
    /** Keeps the place while the items change. @param {number} items */
    setCount(items) {
      count = items;
      inspect(at);
    },
  };
}

/**
 * Picks what is pressed and let go of at one place.
 * @param {HTMLElement} plot
 * @param {(event: PointerEvent) => number} indexUnder
 * @param {(index: number) => void} pick
 */
function addPicking(plot, indexUnder, pick) {
  let pressed = -1;
  plot.addEventListener("pointerdown", (event) => {
    event.stopPropagation(); // Nodes 2.0 would take hold of the node
    pressed = event.button === 0 ? indexUnder(event) : -1;
  });
  plot.addEventListener("pointerup", (event) => {
    if (indexUnder(event) === pressed) pick(pressed);
    pressed = -1;
  });
}
