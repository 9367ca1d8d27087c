// @ts-check
// OTCache Sampler, Apply OTCache and OTCache Sigmas say before a run where their schedule cannot pay;
// they and the node OTCache, where another cache skips steps of the same model.

import { app } from "../../../scripts/app.js";
import { ask } from "../shared/ask.js";
import { advise } from "../shared/node_text.js";
import { otherCache } from "./other_caches.js";
import { runsOf, takesSchedule } from "./planned_runs.js";
import { scheduleOf } from "../schedule/schedule_source.js";
import { watch } from "../shared/watch.js";
import { say, sayNotes } from "../shared/words.js";

app.registerExtension({
  name: "otcache.advice",

  /** @param {any} node */
  nodeCreated(node) {
    const plansItself = node.comfyClass === "OTCacheAuto";
    if (!plansItself && !takesSchedule(node)) return;
    const inputsOf = () => {
      const schedule = plansItself ? undefined : scheduleOf(node);
      if (schedule) return { schedule, runs: runsOf(node), other: otherCache(node) };
      return plansItself ? { other: otherCache(node) } : {};
    };
    watch(node, inputsOf, async (inputs) => {
      const { schedule, runs, other } = inputs;
      const { answer } = schedule ? await ask("advice", { body: { schedule, runs } }) : {};
      const beside = other ? [say("beside_cache", { title: other })] : [];
      return () => advise(node, [...beside, ...sayNotes(answer?.notes ?? [])].join("\n"));
    });
  },
});
