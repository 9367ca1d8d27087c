// @ts-check
// OTCache Sampler and Apply OTCache say before a run where their schedule cannot pay.

import { app } from "../../../scripts/app.js";
import { ask } from "../shared/ask.js";
import { advise } from "../shared/node_text.js";
import { ownRun, runsFrom } from "./planned_runs.js";
import { scheduleOf } from "../schedule/schedule_source.js";
import { watch } from "../shared/watch.js";
import { sayNotes } from "../shared/words.js";

/** @type {Record<string, (node: any) => import("./planned_runs.js").Run[]>} */
const RUNS = { OTCacheSampler: (node) => [ownRun(node)], OTCacheApply: (node) => runsFrom(node) };

app.registerExtension({
  name: "otcache.advice",

  /** @param {any} node */
  nodeCreated(node) {
    const runs = RUNS[node.comfyClass];
    if (!runs) return;
    const inputsOf = () => {
      const schedule = scheduleOf(node);
      return schedule ? { schedule, runs: runs(node) } : {};
    };
    watch(node, inputsOf, async (inputs) => {
      const { answer } = inputs.schedule ? await ask("advice", { body: inputs }) : {};
      return () => advise(node, sayNotes(answer?.notes ?? []).join("\n"));
    });
  },
});
