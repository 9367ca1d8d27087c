// @ts-check
// An anchor file dropped on the canvas makes a Load OT Anchor node that carries it.

import { app } from "../../../scripts/app.js";
import { IN_WORKFLOW, INLINE } from "./anchor_source.js";
import { ask } from "../shared/ask.js";
import { asOneStep, setWidget } from "../shared/graph_links.js";
import { tell } from "../shared/tell.js";
import { say } from "../shared/words.js";

const ANCHOR_FILE = /\.otanchor.*\.json$/i; // browsers number downloads: "my.otanchor (1).json"
const MAX_BYTES = 1_000_000;

/** @param {string} detail */
const warn = (detail) => tell(detail, "error");

/**
 * @param {File} file
 * @param {[number, number]} place on the canvas
 */
async function take(file, place) {
  if (file.size > MAX_BYTES) return warn(say("too_large", { name: file.name, bytes: MAX_BYTES }));
  const { answer, error } = await ask("check", { body: { anchor: await file.text() } });
  if (!answer) return warn(`${file.name}: ${error}`);
  const graph = app.canvas.graph;
  const below = graph.getNodeOnPos?.(place[0], place[1]);
  const node = below?.comfyClass === "OTCacheLoadAnchor" ? below : globalThis.LiteGraph.createNode("OTCacheLoadAnchor");
  asOneStep(() => {
    setWidget(node, INLINE, JSON.stringify(answer.anchor));
    setWidget(node, "anchor_name", IN_WORKFLOW);
    if (node === below) return;
    node.pos = place;
    graph.add(node);
  });
}

app.registerExtension({
  name: "otcache.dropAnchor",

  setup() {
    // Before ComfyUI's own listener, which takes every JSON file for a workflow.
    window.addEventListener(
      "drop",
      (event) => {
        const files = [...(event.dataTransfer?.files ?? [])].filter((file) => ANCHOR_FILE.test(file.name));
        if (!files.length) return;
        event.preventDefault();
        event.stopPropagation();
        const [x, y] = app.canvas.convertEventToCanvasOffset(event);
        files.forEach((file, index) => take(file, [x, y + 160 * index]));
      },
      { capture: true },
    );
  },
});
