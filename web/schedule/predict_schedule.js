// @ts-check
// Predict Cache Schedule draws its schedule while its sliders move, before anything is queued.

import { app } from "../../../scripts/app.js";
import { anchorOf } from "../anchors/anchor_source.js";
import { ask } from "../shared/ask.js";
import { valueOf, widgetOf } from "../shared/graph_links.js";
import { addPanel, linesOf, makeRoom } from "../shared/panel.js";
import { otherSteps, runsOfSchedule, stepsOf } from "../sampling/planned_runs.js";
import { noteSchedule } from "./schedule_source.js";
import { createScheduleView } from "./schedule_view.js";
import { limitSliders, returnBudget } from "./slider_limits.js";
import { watch } from "../shared/watch.js";
import { say, sayMessage } from "../shared/words.js";

const HEIGHT = 228; // with a line or two to say
const LINE = 15;
const SAID = 2;
const NUMBERS = ["budget", "steps", "rho", "anchor_rho", "target_lpips"];

/**
 * What the node would predict with. Numbers that only a run can tell are replaced by the widget's.
 * @param {any} node
 */
function inputsOf(node) {
  /** @type {Record<string, any>} */
  const values = {};
  const remarks = [];
  for (const name of NUMBERS) {
    const value = valueOf(node, name);
    values[name] = value ?? widgetOf(node, name)?.value;
    const known = name === "steps" && !values[name]; // of 0 it draws what is known, and says how many
    if (value === undefined && !known) remarks.push(say("linked", { name, value: values[name] }));
  }
  const runs = runsOfSchedule(node);
  if (!values.steps) values.steps = stepsOf(runs);
  const other = otherSteps(runs, values.steps);
  if (other) remarks.push(say("rule_other_steps", { schedule_steps: values.steps, steps: other }));
  return { anchor: anchorOf(node), values, remark: remarks.join(" ") };
}

/** @param {ReturnType<typeof inputsOf>} inputs */
function predict({ anchor, values }) {
  if (anchor.text) return ask("schedule", { body: { ...values, name: anchor.name, anchor: anchor.text } });
  return ask("schedule", { query: { name: anchor.name, values: JSON.stringify(values) } });
}

app.registerExtension({
  name: "otcache.predictSchedule",

  /** @param {any} node */
  nodeCreated(node) {
    if (node.comfyClass !== "OTCachePredictSchedule") return;
    const view = createScheduleView();
    const more = () => LINE * Math.max(0, linesOf(view.said(), node) - SAID);
    addPanel(node, "otcache_schedule", view.element, () => HEIGHT + more());
    makeRoom(node);
    watch(node, inputsOf, async (inputs) => {
      const { missing } = inputs.anchor;
      if (missing) {
        noteSchedule(node);
        return () => {
          view.fail(missing);
          makeRoom(node);
        };
      }
      const { answer, error } = await predict(inputs);
      return () => {
        const refused = error ?? (answer.refused && sayMessage(answer.said));
        noteSchedule(node, refused ? undefined : answer);
        if (answer) limitSliders(node, answer.allowed);
        if (answer && returnBudget(node, inputs.values, inputs.anchor, answer.allowed)) return true;
        if (refused) view.fail(refused);
        else view.show(answer, inputs.remark);
        makeRoom(node);
        return false;
      };
    });
  },
});
