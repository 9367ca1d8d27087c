// @ts-check
// What the panels on the nodes say, in the languages of `locales/`.

import { app } from "../../scripts/app.js";

/** @type {Record<string, Record<string, string>>} */
const WORDS = {
  en: {
    calls: "{budget} of {steps} model calls",
    faster: "up to {speedup}x faster",
    reference: "reference {budget}",
    anchor: "anchor {budget}",
    prediction: "prediction {budget}",
    axis: "share of calls made, by step",
    all_steps: "every step runs the model: nothing is saved",
    few_steps: "Below about 15 steps there is little to skip.",
    expected: "expected {metric} {mean} \u00b1 {spread}",
    by_target: "budget by target {target}",
    rho_anchor: "rho {rho} from the anchor",
    rho_slider: "rho {rho} from the slider",
    as_calibrated: "as calibrated",
    computed: "model runs",
    skipped: "skipped",
    inspect: "steps 0 to {last}: point at one, or use \u2190 \u2192",
    step_sigma: "step {step}, sigma {sigma}",
    step_only: "step {step}",
    is_computed: "the model runs",
    from_one: "skipped, estimated from step {a}",
    from_two: "skipped, estimated from steps {a} and {b}",
    look_back: "look-back {k}",
    strip_label: "Schedule, step by step",
    no_anchor: "Connect an anchor, such as Load OT Anchor, to see the schedule.",
    not_calibrated: "Run Calibrate OT Anchor once: its anchor will be shown here.",
    unknown_source: "The anchor comes from \"{title}\": only a run can tell it.",
    linked: "{name} arrives with the run; shown for {value}.",
    automatic_first: "automatic chooses the anchor by the connected model when it runs: queue once.",
    carries_none: "The workflow carries no anchor: choose an installed one.",
    carried: "The workflow carries this anchor: it runs where the file is missing.",
    carried_only: "There is no file of this name here: the workflow's own anchor is used.",
    carried_differs: "The file is used; the workflow carries another anchor under this name.",
    keep: "Keep in workflow",
    keep_help: "Puts the anchor's JSON into the workflow, for those who do not have the file.",
    save: "Save to models/otcache",
    save_help: "Saves the workflow's anchor as a file of its own on the server; nothing is replaced.",
    remove: "Remove from workflow",
    remove_help: "Takes the anchor's JSON out of the workflow; the file stays where it is.",
    too_large: "{name} must have at most {bytes} bytes to be an anchor.",
    stage: "{stage}: {done} of {total}",
    calibrated: "Calibrated",
    seconds_left: "about {seconds} s left",
    minutes_left: "about {minutes} min left",
    hours_left: "about {hours} h left",
    loss_axis: "{metric}, logarithmic",
    best_loss: "best {loss}",
    warm_loss: "warm start {loss}",
    best_schedule: "best schedule so far, {count} model calls:",
    trials_label: "Loss of each schedule tried",
    trials_hint: "{count} tried: point at one, or use \u2190 \u2192",
    trial_loss: "{trial}: {loss} on {prompts} prompts, steps {steps}",
    trial_failed: "{trial}: failed or given up, steps {steps}",
    calls_made: "{prompts} prompts, {model_calls} model calls, {calls_saved} saved",
    not_run: "Not run yet.",
    bar_label: "{computed} steps computed, {skipped} skipped",
    calls_often: "This sampler calls the model {times} times at each computed step: euler calls once.",
    compared_image: "image",
    reference_image: "reference",
    compare_slider: "Border between image and reference",
    unreachable: "ComfyUI does not answer; the schedule is shown again once it does.",
  },
  zh: {
    calls: "{steps} \u6b65\u4e2d\u6709 {budget} \u6b65\u8fd0\u884c\u6a21\u578b",
  },
};

/** The language of the page; English where it has no words of ours. */
function language() {
  const locale = app.ui?.settings?.getSettingValue?.("Comfy.Locale") ?? "en";
  return String(locale).split("-")[0] in WORDS ? String(locale).split("-")[0] : "en";
}

/**
 * A text with its values filled in.
 * @param {string} key
 * @param {Record<string, unknown>} [values]
 */
export function say(key, values = {}) {
  const text = WORDS[language()][key] ?? WORDS.en[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ""));
}

export { WORDS };
