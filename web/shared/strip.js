// @ts-check
// A strip with a cell per step. Computed steps are high, skipped ones low: told apart without colour.

import { svg } from "./panel.js";

/**
 * @param {number} steps
 * @param {number[]} computedSteps
 * @returns {Element[]} for an SVG with the view box "0 0 steps 1"
 */
export function drawStrip(steps, computedSteps) {
  const computed = new Set(computedSteps);
  return Array.from({ length: steps }, (_, step) => {
    const full = computed.has(step);
    const box = { x: step + 0.08, width: 0.84, y: full ? 0 : 0.65, height: full ? 1 : 0.35 };
    return svg("rect", { ...box, class: full ? "otcache-computed" : "otcache-skipped" });
  });
}
