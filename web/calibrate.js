// @ts-check
// Calibrate OT Anchor remembers which anchor it made last, for the nodes that it feeds.

import { app } from "../../scripts/app.js";
import { SAVED } from "./anchor_source.js";

app.registerExtension({
  name: "otcache.calibrate",

  /** @param {any} node */
  nodeCreated(node) {
    if (node.comfyClass !== "OTCacheCalibrateAnchor") return;
    const before = node.onExecuted;
    node.onExecuted = function (/** @type {any} */ output) {
      before?.apply(this, arguments);
      const saved = output?.otcache?.[0]?.saved;
      if (typeof saved === "string") node.properties[SAVED] = saved;
    };
  },
});
