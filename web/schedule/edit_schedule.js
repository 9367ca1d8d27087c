// @ts-check
// Edit Cache Schedule: a click on a step writes the mask, and a mask that is typed redraws the steps.

import { app } from "../../../scripts/app.js";
import { ask } from "../shared/ask.js";
import { asOneStep, originOf, setWidget, valueOf, widgetOf } from "../shared/graph_links.js";
import { addPanel, linesOf, makeRoom } from "../shared/panel.js";
import { otherSteps, runsOfSchedule } from "../sampling/planned_runs.js";
import { onResult } from "../shared/results.js";
import { watch } from "../shared/watch.js";
import { say, sayMessage } from "../shared/words.js";
import { createEditView } from "./edit_view.js";
import { noteSchedule, shownTo } from "./schedule_source.js";

const WIDTH = 420; // of a new node, so that the cells of 50 steps can be hit
const HEIGHT = 80; // without lines that may wrap
const LINE = 15;
const BUTTON = 28;
const LONGEST = "x".repeat(72); // what is told of a step, about
const MASK = "mask";

/** @typedef {import("./schedule_source.js").Shown} Shown */

/** @type {WeakMap<object, Shown>} what the last run of a node made, if it edited nothing */
const lastRuns = new WeakMap();

/** The steps of a mask alone; otcache_core/documents/mask.py leaves out the same. @param {unknown} text */
const digitsOf = (text) => String(text ?? "").replace(/[\s,[\]]+/g, "");

/** Whether the mask comes from another node. @param {any} node */
const isLinked = (node) => originOf(node, MASK) !== null;

/** @param {any} node */
function inputsOf(node) {
  const source = originOf(node, "schedule")?.node;
  const mask = valueOf(node, MASK); // undefined where only a run can tell it
  const known = shownTo(node);
  // Steps that only a run can tell are those of the last one, unless a mask says others.
  const schedule = known ?? (source && !digitsOf(mask) ? lastRuns.get(node) : undefined);
  return {
    mask: mask === undefined ? "" : String(mask),
    untold: mask === undefined,
    linked: isLinked(node),
    schedule,
    unshown: source && !known ? String(source.title ?? "") : undefined,
    runs: runsOfSchedule(node),
  };
}

/** @typedef {ReturnType<typeof inputsOf>} Inputs */

/** What the node would make of its inputs. @param {Inputs} inputs */
async function edit({ mask, schedule, unshown }) {
  if (!digitsOf(mask) && !schedule) return { error: say(unshown === undefined ? "edit_nothing" : "edit_unshown", { title: unshown }) };
  const { steps, computed_steps, estimator, look_back } = schedule ?? {};
  const known = schedule && { steps, computed_steps, estimator, look_back };
  const { answer, error } = await ask("edit", { body: { mask, schedule: known ?? null } });
  if (error) return { error };
  return answer.refused ? { error: sayMessage(answer.said) } : { answer };
}

/** What becomes of skipped steps. @param {Inputs} inputs @param {string} estimator */
function origin({ mask, schedule, unshown }, estimator) {
  if (!digitsOf(mask)) return say("edit_as_is", { estimator });
  if (!schedule) return unshown === undefined ? say("edit_alone", { estimator }) : "";
  const learns = estimator === "slope" || estimator === "meancache";
  return say(learns ? "edit_placed" : "edit_changed", { estimator });
}

/** @param {Inputs} inputs @param {number} steps */
function remarks({ untold, linked, unshown, runs }, steps) {
  const other = otherSteps(runs, steps);
  return [
    untold ? say("edit_untold") : linked ? say("edit_linked") : "",
    unshown === undefined ? "" : say("edit_unshown", { title: unshown }),
    other ? say("rule_other_steps", { schedule_steps: steps, steps: other }) : "",
  ].filter(Boolean).join(" ");
}

/** @param {any} node @param {string} mask */
const write = (node, mask) => asOneStep(() => setWidget(node, MASK, mask));

app.registerExtension({
  name: "otcache.editSchedule",

  /** @param {any} node */
  nodeCreated(node) {
    if (node.comfyClass !== "OTCacheEditSchedule") return;

    /** @param {number} step */
    function toggle(step) {
      const shown = view.shown();
      if (!shown || step === 0 || isLinked(node)) return; // the first step always runs
      // Clicks may come faster than drawings: what the widget says counts.
      const own = digitsOf(widgetOf(node, MASK)?.value);
      const mask = own.length === shown.steps ? own : shown.mask;
      write(node, `${mask.slice(0, step)}${mask[step] === "1" ? 0 : 1}${mask.slice(step + 1)}`);
    }

    const view = createEditView({ toggle, follow: () => write(node, "") });
    const lines = () => [...view.said(), LONGEST].reduce((sum, text) => sum + linesOf(text, node), 0);
    addPanel(node, "otcache_edit", view.element, () => HEIGHT + LINE * lines() + (view.offered() ? BUTTON : 0));
    node.setSize([Math.max(node.size[0], WIDTH), node.size[1]]);
    makeRoom(node);
    onResult(node, ({ report }) => {
      if (report?.computed_steps && !report.edited) lastRuns.set(node, report);
      else lastRuns.delete(node);
    });
    watch(node, inputsOf, async (inputs) => {
      const { answer, error } = await edit(inputs);
      return () => {
        const own = Boolean(inputs.mask) && !inputs.linked;
        const shown = answer && { ...answer, sigmas: inputs.schedule?.sigmas ?? null };
        noteSchedule(node, shown);
        if (shown) view.show(shown, origin(inputs, shown.estimator), remarks(inputs, shown.steps), own);
        else view.fail(error ?? "", own);
        makeRoom(node);
      };
    });
  },
});
