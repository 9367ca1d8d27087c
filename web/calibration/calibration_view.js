// @ts-check
// Draws where a calibration stands: the loss of each schedule tried, and the best one so far.

import { createInspector } from "../shared/inspector.js";
import { html, key, svg } from "../shared/panel.js";
import { drawStrip } from "../shared/strip.js";
import { say, sayLines, sayMessage } from "../shared/words.js";

const MARK = 0.03; // half a cross's height, as a share of the plot's

/**
 * @typedef {{ computed_steps: number[], loss: number | null, phase: string, prompts: number }} Trial
 * @typedef {{ stage: Message, done: number, total: number, steps: number, prompts: number,
 *   metric: string, trials: Trial[], warm_start: number | null, best: number | null,
 *   best_steps: number[], model_calls: number, calls_saved: number, seconds_left: number | null,
 *   finished: boolean, stopped: boolean, plan: Message[], lines: Message[] }} State  see nodes/calibration/state.py
 * @typedef {import("../shared/words.js").Message} Message
 */

/** @param {number} value */
const loss4 = (value) => value.toFixed(4);

/** @param {number | null} seconds */
function timeLeft(seconds) {
  if (seconds === null) return "";
  if (seconds < 90) return say("seconds_left", { seconds: Math.round(seconds) });
  if (seconds < 5400) return say("minutes_left", { minutes: Math.round(seconds / 60) });
  return say("hours_left", { hours: (seconds / 3600).toFixed(1) });
}

/**
 * From a loss to a height: 0 at the top of the plot, 1 at its bottom; in logarithms, because bad
 * schedules are many times worse than good ones.
 * @param {State} state
 */
function scaleOf(state) {
  const known = [...state.trials.map((trial) => trial.loss), state.warm_start, state.best];
  const values = known.filter((value) => value !== null && value > 0).map((v) => Math.log(Number(v)));
  const low = Math.min(...values) - 0.05;
  const high = Math.max(...values) + 0.05;
  return (/** @type {number} */ value) => (high - Math.log(Math.max(value, Math.exp(low)))) / (high - low);
}

/**
 * @param {State} state
 * @param {(loss: number) => number} place
 */
function drawTrials(state, place) {
  const width = Math.max(state.trials.length, 1);
  let [full, partial, failed, best] = ["", "", "", ""];
  let lowest = Infinity;
  state.trials.forEach(({ loss, prompts }, i) => {
    const x = i + 0.5;
    if (loss === null) {
      failed += `M${x} ${MARK}v${2 * MARK}`;
      return;
    }
    const whole = prompts >= state.prompts;
    if (whole) full += `M${x} ${place(loss)}h0`;
    else partial += `M${x} ${place(loss) - MARK}v${2 * MARK}`;
    if (whole && loss < lowest) {
      best += best ? `H${x}V${place(loss)}` : `M${x} ${place(loss)}`;
      lowest = loss;
    }
  });
  const paths = [svg("path", { d: `M0 0V1H${width}`, class: "otcache-frame" })];
  if (state.warm_start !== null) {
    paths.push(svg("path", { d: `M0 ${place(state.warm_start)}H${width}`, class: "otcache-anchor" }));
  }
  paths.push(svg("path", { d: partial, class: "otcache-partial" }));
  paths.push(svg("path", { d: failed, class: "otcache-failed" }));
  if (best) paths.push(svg("path", { d: `${best}H${width}`, class: "otcache-prediction" }));
  paths.push(svg("path", { d: full, class: "otcache-dots" }));
  return paths;
}

/** The panel's elements and what fills them. */
export function createCalibrationView() {
  const stage = html("b");
  const left = html("span", { class: "otcache-faint" });
  const bar = /** @type {HTMLProgressElement} */ (html("progress", { class: "otcache-bar" }));
  const losses = html("div", { class: "otcache-row" });
  const plot = html("div", { class: "otcache-plot otcache-trials", "aria-label": say("trials_label") });
  const curves = svg("svg", { class: "otcache-curves", preserveAspectRatio: "none" });
  const strip = svg("svg", { class: "otcache-strip", preserveAspectRatio: "none", role: "img" });
  const best = html("div", { class: "otcache-best otcache-faint" });
  const trial = html("div", { class: "otcache-step" });
  const calls = html("div", { class: "otcache-faint" });
  const plan = html("div", { class: "otcache-text otcache-faint" });
  const text = html("div", { class: "otcache-text" });
  const axis = html("span", { class: "otcache-axis otcache-faint" });
  plot.append(axis, curves);
  const head = html("div", { class: "otcache-row" }, stage, left);
  const element = html("div", { class: "otcache-calibration" });
  element.append(head, bar, losses, plot, trial, best, strip, calls, plan, text);
  /** @type {State | null} */
  let state = null;

  /** @param {number} index */
  function describe(index) {
    const { loss, prompts, computed_steps } = /** @type {State} */ (state).trials[index];
    const values = { trial: index + 1, prompts, steps: computed_steps.join(" ") };
    if (loss === null) return say("trial_failed", values);
    return say("trial_loss", { ...values, loss: loss4(loss) });
  }

  const inspector = createInspector(plot, curves, trial, {
    hint: (count) => say("trials_hint", { count }),
    describe,
  });

  return {
    element,
    /** What is told below the chart. */
    text: () => [plan.textContent, text.textContent].filter(Boolean).join("\n"),
    /** @param {State} next */
    show(next) {
      state = next;
      const how = next.finished ? "calibrated" : next.stopped ? "stopped" : "stage";
      stage.textContent = say(how, { ...next, stage: sayMessage(next.stage) });
      bar.setAttribute("aria-label", stage.textContent);
      left.textContent = next.finished || next.stopped ? "" : timeLeft(next.seconds_left);
      bar.max = Math.max(next.total, 1);
      bar.value = next.finished ? bar.max : next.done;
      losses.replaceChildren();
      if (next.best !== null) losses.append(key("prediction", say("best_loss", { loss: loss4(next.best) })));
      if (next.warm_start !== null) {
        losses.append(key("anchor", say("warm_loss", { loss: loss4(next.warm_start) })));
      }
      curves.setAttribute("viewBox", `0 0 ${Math.max(next.trials.length, 1)} 1`);
      curves.replaceChildren(...drawTrials(next, scaleOf(next)));
      axis.textContent = say("loss_axis", next);
      best.textContent = next.best_steps.length ? say("best_schedule", { count: next.best_steps.length }) : "";
      strip.setAttribute("viewBox", `0 0 ${next.steps} 1`);
      strip.setAttribute("aria-label", next.best_steps.join(" "));
      strip.replaceChildren(...(next.best_steps.length ? drawStrip(next.steps, next.best_steps) : []));
      calls.textContent = say("calls_made", next);
      plan.textContent = next.finished || next.stopped ? "" : sayLines(next.plan);
      // Until the end the panel says it itself.
      text.textContent = next.finished ? sayLines(next.lines) : next.stopped ? say("go_on") : "";
      inspector.setCount(next.trials.length);
    },
  };
}
