// @ts-check
// What a sampler samples with besides the model: conditionings, latent, scale and scheduler, and the
// VAE that its latents are decoded with.

import { followersOf, inputOf, originOf, valueOf } from "../shared/graph_links.js";
import { runOf } from "./planned_runs.js";

const LATENTS = new Set(["LATENT", "*"]);
const MAX_HOPS = 20; // from a sampler to its decoder
const MODEL_FILE = /^(?:.*[\\/])?(.+)\.(?:safetensors|sft|gguf|ckpt|pth?|bin)$/i;

/** @typedef {{ node: any, name: string }} Socket  an input of a node, linked or not */

/** @param {any} node @returns {string | undefined} its input for the VAE that it decodes with */
function vaeInput(node) {
  return node.inputs?.find((/** @type {any} */ i) => i.type === "VAE" && i.link != null)?.name;
}

/**
 * Where the nearest node behind a sampler that decodes takes its VAE; pictures come before sound.
 * @param {any} sampler
 * @returns {Socket | undefined}
 */
function decoderOf(sampler) {
  const seen = new Set([sampler]);
  let nodes = [sampler];
  for (let hops = 0; nodes.length && hops < MAX_HOPS; hops++) {
    nodes = nodes.flatMap((node) => followersOf(node, LATENTS)).filter((node) => !seen.has(node) && seen.add(node));
    const decoders = nodes.filter(vaeInput);
    const images = decoders.find((node) => node.outputs?.some((/** @type {any} */ o) => o.type === "IMAGE"));
    const found = images ?? decoders[0];
    if (found) return { node: found, name: /** @type {string} */ (vaeInput(found)) };
  }
  return undefined;
}

/**
 * The sockets by which a sampler gets what Calibrate OT Anchor takes, by the names there.
 * @param {any} sampler
 * @returns {Record<"positive" | "negative" | "latent_image" | "vae", Socket | undefined>}
 */
export function socketsOf(sampler) {
  const guider = guiderOf(sampler);
  /** @param {any} node @param {string} name */
  const socket = (node, name) => (inputOf(node, name) ? { node, name } : undefined);
  const alone = socket(guider, "conditioning"); // of a guider that knows no negative one
  return {
    positive: socket(guider, "positive") ?? alone,
    negative: socket(guider, "negative") ?? alone,
    latent_image: socket(sampler, "latent_image"),
    vae: decoderOf(sampler),
  };
}

/** @param {any} sampler @returns {any} what has its conditionings: a guider, or the sampler itself */
const guiderOf = (sampler) => (inputOf(sampler, "guider") ? originOf(sampler, "guider")?.node : sampler);

/**
 * Its settings, by the names in Calibrate OT Anchor; undefined where only a run can tell.
 * @param {any} sampler
 * @returns {{ cfg?: number, sampler_name?: string, scheduler?: string }}
 */
export function settingsOf(sampler) {
  const guider = guiderOf(sampler);
  const levels = inputOf(sampler, "sigmas") ? originOf(sampler, "sigmas")?.node : sampler;
  return {
    cfg: guider && (inputOf(guider, "conditioning") ? 1 : valueOf(guider, "cfg")),
    sampler_name: runOf(sampler)?.sampler_name,
    scheduler: levels && valueOf(levels, "scheduler"),
  };
}

/**
 * The name of the file that a model is loaded from, without folder and ending.
 * @param {any} node that takes the model
 */
export function modelFile(node) {
  let loader = node;
  for (let hops = 0; hops < MAX_HOPS; hops++) {
    const before = originOf(loader, "model")?.node;
    if (!before) break;
    loader = before;
  }
  if (loader === node) return undefined;
  const names = loader.widgets?.map((/** @type {any} */ w) => MODEL_FILE.exec(String(w.value))?.[1]) ?? [];
  return names.find(Boolean);
}
