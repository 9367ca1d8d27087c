// @ts-check
// Calibrate OT Anchor shows its search while it runs, again after a reload, and remembers which
// anchor it made last, for the nodes that it feeds.

import { app } from "../../../scripts/app.js";
import { api } from "../../../scripts/api.js";
import { SAVED } from "../anchors/anchor_source.js";
import { ask } from "../shared/ask.js";
import { createCalibrationView } from "./calibration_view.js";
import { executionId, findNode, workflowId } from "../shared/graph_links.js";
import { addPanel, linesOf, makeRoom } from "../shared/panel.js";
import { onResult } from "../shared/results.js";
import { watch } from "../shared/watch.js";

const KIND = "OTCacheCalibrateAnchor";
const HEIGHT = 270;
const LINE = 15;

/** @type {WeakMap<object, ReturnType<typeof createCalibrationView>>} */
const views = new WeakMap();

/** Where the server keeps a node's state. @param {any} node */
const placeOf = (node) => ({ workflow: workflowId(), node: executionId(node) });

/**
 * Draws a state on its node; the panel is added by the first one.
 * @param {any} node
 * @param {any} state
 */
function show(node, state) {
  if (node?.comfyClass !== KIND) return;
  let view = views.get(node);
  if (!view) {
    view = createCalibrationView();
    views.set(node, view);
    const { text } = view;
    addPanel(node, "otcache_calibration", view.element, () => HEIGHT + LINE * linesOf(text(), node));
  }
  view.show(state);
  makeRoom(node);
}

app.registerExtension({
  name: "otcache.calibrate",

  setup() {
    api.addEventListener("otcache.calibration", (/** @type {CustomEvent<any>} */ { detail }) => {
      if (detail.workflow === workflowId()) show(findNode(detail.node), detail);
    });
  },

  /** @param {any} node */
  nodeCreated(node) {
    if (node.comfyClass !== KIND) return;
    onResult(node, ({ report }) => {
      if (typeof report?.saved === "string") node.properties[SAVED] = report.saved;
    });
    watch(node, placeOf, async (place) => {
      const { answer } = await ask("calibration", { query: place });
      // What has come as an event meanwhile is newer.
      return () => answer?.state && !views.has(node) && show(node, answer.state);
    });
  },
});
