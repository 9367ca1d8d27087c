// @ts-check
// Compare Images lays the image over its reference; a slider moves the border between the two.

import { app } from "../../../scripts/app.js";
import { api } from "../../../scripts/api.js";
import { addPanel, html, makeRoom } from "../shared/panel.js";
import { onResult } from "../shared/results.js";
import { say } from "../shared/words.js";

const HEIGHT = 230;

/** @typedef {{ filename: string, subfolder: string, type: string }} Saved */

/** @param {Saved} saved */
function address({ filename, subfolder, type }) {
  return api.apiURL(`/view?${new URLSearchParams({ filename, subfolder, type })}`);
}

/** @param {any} node */
function createPanel(node) {
  const before = html("img", { alt: say("reference_image"), draggable: "false" });
  const after = html("img", { alt: say("compared_image"), draggable: "false", class: "otcache-after" });
  const pair = html("div", { class: "otcache-pair" }, before, after);
  const range = /** @type {HTMLInputElement} */ (html("input", { type: "range", min: "0", max: "100", value: "50" }));
  range.setAttribute("aria-label", say("compare_slider"));
  const names = [say("compared_image"), say("reference_image")].map((name) => html("span", {}, name));
  const legend = html("div", { class: "otcache-row otcache-faint" }, ...names);
  const element = html("div", { class: "otcache-compare" }, pair, range, legend);
  const move = () => /** @type {HTMLElement} */ (after).style.setProperty("--border", `${range.value}%`);
  range.addEventListener("input", move);
  pair.addEventListener("pointermove", (event) => {
    const { left, width } = pair.getBoundingClientRect();
    range.value = String(Math.round((100 * (event.clientX - left)) / width));
    move();
  });
  move();
  addPanel(node, "otcache_compare", element, () => HEIGHT);
  makeRoom(node);
  return (/** @type {Saved[]} */ [image, reference]) => {
    after.setAttribute("src", address(image));
    before.setAttribute("src", address(reference));
  };
}

app.registerExtension({
  name: "otcache.compare",

  /** @param {any} node */
  nodeCreated(node) {
    if (node.comfyClass !== "OTCacheCompareImages") return;
    /** @type {ReturnType<typeof createPanel> | undefined} */
    let draw;
    onResult(node, ({ report }) => {
      const pair = report?.pair;
      if (!Array.isArray(pair) || pair.length !== 2) return;
      draw ??= createPanel(node);
      draw(pair);
    });
  },
});
