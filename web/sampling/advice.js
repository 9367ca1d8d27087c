// @ts-check
// OTCache Sampler, Apply OTCache and OTCache Sigmas say before a run where their schedule cannot pay.

import { app } from "../../../scripts/app.js";
import { ask } from "../shared/ask.js";
import { advise } from "../shared/node_text.js";
import { runsOf, takesSchedule } from "./planned_runs.js";
import { scheduleOf } from "../schedule/schedule_source.js";
import { watch } from "../shared/watch.js";
import { sayNotes } from "../shared/words.js";

app.registerExtension({
  name: "otcache.advice",

  /** @param {any} node */
  nodeCreated(node) {
    if (!takesSchedule(node)) return;
    const inputsOf = () => {
      const schedule = scheduleOf(node);
      return schedule ? { schedule, runs: runsOf(node) } : {};
    };
    watch(node, inputsOf, async (inputs) => {
      const { answer } = inputs.schedule ? await ask("advice", { body: inputs }) : {};
      return () => advise(node, sayNotes(answer?.notes ?? []).join("\n"));
    });
  },
});
