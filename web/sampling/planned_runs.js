// @ts-check
// Which sampling runs a model goes to: through LoRAs, guiders, reroutes and subgraphs.

import { NEVER, BYPASSED, followersOf, inputOf, originOf, valueOf, widgetOf } from "../shared/graph_links.js";

const PASSED_ON = new Set(["MODEL", "GUIDER", "*"]);
const MAX_RUNS = 8; // the same as in nodes/page/advice.py
const MAX_HOPS = 50;

/** @typedef {{ steps?: number, sampler_name?: string, scheduler?: string, denoise?: number, cfg?: number, part: boolean }} Run */

/**
 * The run of a node that has its own steps and sampler, such as KSampler.
 * @param {any} node
 * @returns {Run}
 */
function ownRun(node) {
  const [begin, end] = [valueOf(node, "start_at_step"), valueOf(node, "end_at_step")];
  const steps = valueOf(node, "steps");
  return {
    steps,
    sampler_name: valueOf(node, "sampler_name"),
    scheduler: valueOf(node, "scheduler"),
    denoise: valueOf(node, "denoise"),
    cfg: valueOf(node, "cfg"),
    part: begin > 0 || end < steps,
  };
}

/**
 * The run of a node that takes noise levels and a sampler, such as SamplerCustomAdvanced. Levels that
 * come from anything but a scheduler tell nothing of their number. A node with one way to make them, such
 * as KarrasScheduler, is its own scheduler.
 * @param {any} node
 * @returns {Run}
 */
function customRun(node) {
  const scheduler = originOf(node, "sigmas")?.node;
  const sampler = originOf(node, "sampler")?.node;
  const guider = inputOf(node, "guider") ? originOf(node, "guider")?.node : node;
  return {
    steps: scheduler && valueOf(scheduler, "steps"),
    sampler_name: sampler && valueOf(sampler, "sampler_name"),
    scheduler: scheduler && (valueOf(scheduler, "scheduler") ?? scheduler.comfyClass),
    denoise: scheduler && valueOf(scheduler, "denoise"),
    cfg: guider && valueOf(guider, "cfg"),
    part: false,
  };
}

/**
 * @param {any} node
 * @returns {Run | undefined}  nothing where the node is no sampler
 */
export function runOf(node) {
  if (widgetOf(node, "steps") && widgetOf(node, "sampler_name")) return ownRun(node);
  return inputOf(node, "sigmas") && inputOf(node, "sampler") ? customRun(node) : undefined;
}

/**
 * The run whose noise levels OTCache Sigmas thins.
 * @param {any} node
 * @returns {Run}
 */
function levelsRun(node) {
  const scheduler = originOf(node, "sigmas")?.node;
  return {
    steps: scheduler && valueOf(scheduler, "steps"),
    denoise: scheduler && valueOf(scheduler, "denoise"),
    part: false,
  };
}

/** Whether a node brings a schedule of its own, which replaces the one before it. @param {any} node */
function reschedules(node) {
  return String(node.comfyClass).startsWith("OTCache") && Boolean(originOf(node, "schedule"));
}

/**
 * Every sampler that the model of a node goes to.
 * @param {any} node
 * @param {number} [hops]
 * @returns {any[]}
 */
export function samplersFrom(node, hops = 0) {
  if (hops > MAX_HOPS) return [];
  const found = followersOf(node, PASSED_ON).flatMap((/** @type {any} */ next) => {
    if (next.mode === NEVER) return [];
    if (next.mode === BYPASSED) return samplersFrom(next, hops + 1);
    if (reschedules(next)) return [];
    return runOf(next) ? [next] : samplersFrom(next, hops + 1);
  });
  return found.slice(0, MAX_RUNS);
}

/** Every run that the model of a node goes to. @param {any} node @returns {Run[]} */
const runsFrom = (node) => samplersFrom(node).flatMap((sampler) => runOf(sampler) ?? []);

/** @type {Record<string, (node: any) => Run[]>} */
const RUNS = {
  OTCacheSampler: (node) => [ownRun(node)],
  OTCacheApply: (node) => runsFrom(node),
  OTCacheSigmas: (node) => [levelsRun(node)],
};

const EDIT = "OTCacheEditSchedule"; // hands the schedule on

/** Whether a node takes a schedule to its runs. @param {any} node */
export const takesSchedule = (node) => node.comfyClass in RUNS;

/** The runs that the model of the node OTCache goes to. @param {any} node */
export const runsOfAuto = (node) => runsFrom(node);

/** The runs that a node takes its schedule to. @param {any} node */
export const runsOf = (node) => RUNS[node.comfyClass]?.(node) ?? [];

/**
 * The runs that the schedule of a node goes to.
 * @param {any} node  a Predict or Edit Cache Schedule
 * @param {number} [hops]
 * @returns {Run[]}
 */
export function runsOfSchedule(node, hops = 0) {
  if (hops > MAX_HOPS) return [];
  return followersOf(node, new Set(["OT_SCHEDULE"])).flatMap((/** @type {any} */ taker) => {
    if (taker.mode === NEVER) return [];
    const handsOn = taker.mode === BYPASSED ? !takesSchedule(taker) : taker.comfyClass === EDIT;
    if (handsOn) return runsOfSchedule(taker, hops + 1);
    return taker.mode === BYPASSED ? [] : runsOf(taker);
  });
}

/**
 * The step count that a schedule for any gets from its run; 0 where the page cannot tell.
 * @param {Run[]} runs
 */
export function stepsOf(runs) {
  return runs.find((run) => run.steps && !run.part && !((run.denoise ?? 1) < 1))?.steps ?? 0;
}

/**
 * The step count of a run that is not the schedule's, if there is one. A run that begins below the
 * highest noise level has fewer steps by rights.
 * @param {Run[]} runs
 * @param {number} steps of the schedule
 */
export function otherSteps(runs, steps) {
  if (!steps) return undefined;
  return runs.find((run) => run.steps && run.steps !== steps && !((run.denoise ?? 1) < 1))?.steps;
}
