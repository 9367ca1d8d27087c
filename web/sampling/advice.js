// @ts-check
// OTCache Sampler, Apply OTCache and OTCache Sigmas say before a run where their schedule cannot pay, the
// node OTCache what it will do, a calibration included; all, where another cache skips steps of the same
// model.

import { app } from "../../../scripts/app.js";
import { anchorLink } from "../anchors/anchor_source.js";
import { ask } from "../shared/ask.js";
import { advise, learnedOn } from "../shared/node_text.js";
import { otherCache } from "./other_caches.js";
import { runsOf, runsOfAuto, takesSchedule } from "./planned_runs.js";
import { scheduleOf } from "../schedule/schedule_source.js";
import { valueOf } from "../shared/graph_links.js";
import { watch } from "../shared/watch.js";
import { say, sayNotes } from "../shared/words.js";

app.registerExtension({
  name: "otcache.advice",

  /** @param {any} node */
  nodeCreated(node) {
    const plansItself = node.comfyClass === "OTCacheAuto";
    if (!plansItself && !takesSchedule(node)) return;
    /** @returns {{ body?: any, other?: string, calibrates?: boolean, learned?: { name: string } }} */
    const inputsOf = () => {
      if (plansItself) {
        const auto = { calls: Number(valueOf(node, "calls") ?? 0), fine: valueOf(node, "grid") === "fine" };
        const calibrates = anchorLink(node).runs;
        const learned = valueOf(node, "learn") === "never" ? undefined : learnedOn(node);
        return { body: { auto, runs: runsOfAuto(node) }, other: otherCache(node), calibrates, learned };
      }
      const schedule = scheduleOf(node);
      return schedule ? { body: { schedule, runs: runsOf(node) }, other: otherCache(node) } : {};
    };
    watch(node, inputsOf, async ({ body, other, calibrates, learned }) => {
      const asked = performance.now();
      const auto = learned ? { ...body.auto, learned: learned.name } : undefined;
      const { answer } = body ? await ask("advice", { body: auto ? { ...body, auto } : body }) : {};
      const beside = other ? [say("beside_cache", { title: other })] : [];
      const first = calibrates ? [say("calibrates")] : [];
      const text = [...beside, ...sayNotes(answer?.notes ?? []), ...first].join("\n");
      return () => advise(node, text, body, asked);
    });
  },
});
