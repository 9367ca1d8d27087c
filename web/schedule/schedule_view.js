// @ts-check
// Draws a predicted schedule: what it costs, three warping curves, and a strip with a cell per step.

import { createInspector } from "../shared/inspector.js";
import { html, key, svg } from "../shared/panel.js";
import { drawStrip } from "../shared/strip.js";
import { say, sayNotes } from "../shared/words.js";

const CURVES = ["reference", "anchor", "prediction"]; // the last one lies on top

/**
 * @typedef {{ steps: number, budget: number, computed_steps: number[], look_back: number[],
 *   estimator: string, sigmas: number[] | null, rho: number, rho_from_anchor: boolean,
 *   as_calibrated: boolean, speedup: number, by_target: number | null,
 *   notes: import("../shared/words.js").Note[],
 *   expected: { metric: string, typical: number, mean: number } | null,
 *   curves: { budget: number, steps: number[] }[], anchor: { steps: number } }} View
 */

/**
 * One step in words: its noise level, and where its velocity comes from.
 * @param {Pick<View, "sigmas" | "computed_steps" | "look_back" | "estimator">} view
 * @param {number} step
 */
export function describeStep(view, step) {
  const sigma = view.sigmas?.[step];
  const place =
    sigma === undefined ? say("step_only", { step }) : say("step_sigma", { step, sigma: sigma.toFixed(3) });
  const before = view.computed_steps.filter((t) => t <= step);
  const edge = before.length - 1;
  if (before[edge] === step) return `${place}: ${say("is_computed")}`;
  const two = view.estimator === "slope" && edge > 0;
  const from = two
    ? say("from_two", { a: before[edge - 1], b: before[edge] })
    : say("from_one", { a: before[edge] });
  return `${place}: ${from}, ${say("look_back", { k: view.look_back[edge] ?? 1 })}`;
}

/** @param {View} view */
function details(view) {
  const rho = view.rho.toFixed(2);
  const placed = view.as_calibrated
    ? say("as_calibrated")
    : say(view.rho_from_anchor ? "rho_anchor" : "rho_slider", { rho });
  const how = say("how", { placed, estimator: view.estimator });
  return view.by_target ? say("by_target", { target: view.by_target, how }) : how;
}

/** @param {View} view */
function loss(view) {
  if (!view.expected) return "";
  const { metric, typical, mean } = view.expected;
  const name = metric.toLowerCase().startsWith("lpips") ? "LPIPS" : metric;
  return say("expected", { metric: name, typical: typical.toFixed(4), mean: mean.toFixed(4) });
}

/** @param {View} view */
function drawCurves(view) {
  const paths = view.curves.map(({ steps }, index) => {
    const points = steps.map((t, i) => `${t + 0.5} ${1 - i / (steps.length - 1)}`);
    return svg("path", { d: `M${points.join("L")}`, class: `otcache-${CURVES[index]}` });
  });
  const last = Math.max(view.computed_steps.length - 1, 1);
  // A line of no length with round ends is a dot that stays round on any node.
  const dots = view.computed_steps.map((t, i) => `M${t + 0.5} ${1 - i / last}h0`).join("");
  return [
    svg("path", { d: `M0 0V1H${view.steps}`, class: "otcache-frame" }),
    ...paths,
    svg("path", { d: dots, class: "otcache-dots" }),
  ];
}

/** The panel's elements and what fills them. */
export function createScheduleView() {
  const calls = html("b");
  const speedup = html("b");
  const expected = html("span");
  const how = html("span", { class: "otcache-faint" });
  const note = html("div", { class: "otcache-note", role: "status" });
  const curves = svg("svg", { class: "otcache-curves", preserveAspectRatio: "none" });
  const strip = svg("svg", { class: "otcache-strip", preserveAspectRatio: "none" });
  const plot = html("div", { class: "otcache-plot", "aria-label": say("strip_label") });
  const axis = html("span", { class: "otcache-axis otcache-faint" }, say("axis"));
  plot.append(axis, curves, strip);
  const legend = html("div", { class: "otcache-row otcache-legend otcache-faint" });
  const step = html("div", { class: "otcache-step" });
  const head = html("div", { class: "otcache-row" }, calls, speedup);
  const second = html("div", { class: "otcache-row" }, expected, how);
  const element = html("div", { class: "otcache-schedule" }, head, second, note, plot, legend, step);
  /** @type {View | null} */
  let view = null;

  const inspector = createInspector(plot, strip, step, {
    hint: (count) => say("inspect", { last: count - 1 }),
    describe: (index) => describeStep(/** @type {View} */ (view), index),
  });

  return {
    element,
    /** What it says above the curves. */
    said: () => note.textContent ?? "",
    /** @param {View} next @param {string} [remark] */
    show(next, remark = "") {
      view = next;
      const full = view.budget === view.steps;
      calls.textContent = say("calls", view);
      speedup.textContent = full ? "" : say("faster", { speedup: view.speedup.toFixed(1) });
      expected.textContent = loss(view);
      how.textContent = details(view);
      const guess = view.by_target && !view.expected ? say("target_guess", view.anchor) : "";
      note.textContent = [remark, guess, ...sayNotes(view.notes)].filter(Boolean).join(" ");
      for (const [part, height] of /** @type {const} */ ([[curves, 1], [strip, 1]])) {
        part.setAttribute("viewBox", `0 0 ${view.steps} ${height}`);
      }
      curves.replaceChildren(...drawCurves(view));
      strip.replaceChildren(...drawStrip(view.steps, view.computed_steps));
      legend.replaceChildren(...view.curves.map(({ budget }, i) => key(CURVES[i], say(CURVES[i], { budget }))));
      element.dataset.state = "shown";
      inspector.setCount(view.steps);
    },
    /** @param {string} message  what is missing, and what to do */
    fail(message) {
      view = null;
      inspector.setCount(0);
      for (const part of [calls, speedup, expected, how, curves, strip, legend, step]) part.replaceChildren();
      note.textContent = message;
      element.dataset.state = "failed";
    },
  };
}
