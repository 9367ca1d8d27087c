// @ts-check
// Draws an edited schedule: what it costs, and a strip whose cells are clicked on and off.

import { createInspector } from "../shared/inspector.js";
import { html, svg } from "../shared/panel.js";
import { drawStrip } from "../shared/strip.js";
import { say, sayNotes } from "../shared/words.js";
import { describeStep } from "./schedule_view.js";

/**
 * @typedef {{ mask: string, steps: number, budget: number, computed_steps: number[], look_back: number[],
 *   estimator: string, speedup: number, notes: import("../shared/words.js").Note[],
 *   sigmas: number[] | null }} Edited  of nodes/page/edit_view.py
 */

/**
 * The panel's elements and what fills them.
 * @param {{ toggle: (step: number) => void, follow: () => void }} acts
 *   what a click on a step does, and what the button to follow the schedule again does
 */
export function createEditView({ toggle, follow }) {
  const calls = html("b");
  const speedup = html("b");
  const how = html("span", { class: "otcache-faint" });
  const note = html("div", { class: "otcache-note", role: "status" });
  const strip = svg("svg", { class: "otcache-strip", preserveAspectRatio: "none" });
  const plot = html("div", { class: "otcache-plot", "aria-label": say("edit_label") }, strip);
  const step = html("div", { class: "otcache-step" });
  const button = html("button", { type: "button", title: say("follow_help") }, say("follow"));
  const buttons = html("div", { class: "otcache-buttons" });
  const head = html("div", { class: "otcache-row" }, calls, speedup);
  const element = html("div", { class: "otcache-edit" }, head, how, note, plot, step, buttons);
  button.addEventListener("click", follow);
  /** @type {Edited | null} */
  let view = null;

  const inspector = createInspector(
    plot,
    strip,
    step,
    {
      hint: (count) => say("edit_hint", { last: count - 1 }),
      describe: (index) =>
        describeStep(/** @type {Edited} */ (view), index) + (index ? "" : say("edit_first")),
    },
    toggle,
  );

  /** @param {boolean} own  whether there is a mask to take away */
  const offer = (own) => buttons.replaceChildren(...(own ? [button] : []));

  return {
    element,
    /** Its texts that may wrap, but for what is told of a step. */
    said: () => [how.textContent ?? "", note.textContent ?? ""],
    offered: () => buttons.childElementCount,
    /** What is shown; nothing while there is an error to tell. */
    shown: () => view,
    /** @param {Edited} next @param {string} origin  @param {string} remark @param {boolean} own */
    show(next, origin, remark, own) {
      view = next;
      calls.textContent = say("calls", view);
      speedup.textContent = view.budget === view.steps ? "" : say("faster", { speedup: view.speedup.toFixed(1) });
      how.textContent = origin;
      note.textContent = [remark, ...sayNotes(view.notes)].filter(Boolean).join(" ");
      strip.setAttribute("viewBox", `0 0 ${view.steps} 1`);
      strip.replaceChildren(...drawStrip(view.steps, view.computed_steps));
      offer(own);
      element.dataset.state = "shown";
      inspector.setCount(view.steps);
    },
    /** @param {string} message  what is wrong or missing, and what to do @param {boolean} own */
    fail(message, own) {
      view = null;
      inspector.setCount(0);
      for (const part of [calls, speedup, how, strip, step]) part.replaceChildren();
      note.textContent = message;
      offer(own);
      element.dataset.state = "failed";
    },
  };
}
