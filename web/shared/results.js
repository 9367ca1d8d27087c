// @ts-check
// What the runs of each node have told, by workflow and node: node ids alone repeat from tab to tab.
// Kept while the page is open, so that a node made anew, by undo or on the way back from another
// tab, tells it again.

import { app } from "../../../scripts/app.js";
import { api } from "../../../scripts/api.js";
import { executionId, workflowId } from "./graph_links.js";
import { watch } from "./watch.js";

const MAX_KEPT = 200;

/** @typedef {{ lines: import("./words.js").Message[], report: any }} Result  of nodes/shared/news.py */

/** @type {Map<string, Result & { number: number }>} the oldest first */
const results = new Map();
let count = 0;

/** @param {string} workflow @param {string} node */
const keyOf = (workflow, node) => JSON.stringify([workflow, String(node)]);

/** @param {string} workflow @param {string} node @param {Result} result */
function keep(workflow, node, { lines, report }) {
  const key = keyOf(workflow, node);
  const before = results.get(key);
  if (before && JSON.stringify([before.lines, before.report]) === JSON.stringify([lines, report])) return;
  results.delete(key);
  results.set(key, { lines, report, number: ++count });
  if (results.size > MAX_KEPT) results.delete(/** @type {string} */ (results.keys().next().value));
}

/** @param {any} node */
const resultOf = (node) => results.get(keyOf(workflowId(), executionId(node)));

/**
 * Shows each result of a node, and at once the one that is there already.
 * @param {any} node
 * @param {(result: Result) => void} show
 */
export function onResult(node, show) {
  const before = node.onExecuted;
  // Comes for results that the server has kept, too. The front end goes by the node's id alone.
  node.onExecuted = function (/** @type {any} */ output) {
    before?.apply(this, arguments);
    const workflow = output?.otcache_workflow?.[0] || workflowId();
    const told = { lines: output?.otcache_lines ?? [], report: output?.otcache?.at?.(-1) ?? null };
    if (told.lines.length) keep(workflow, executionId(node), told);
  };
  watch(node, () => resultOf(node)?.number ?? 0, async () => () => {
    const result = resultOf(node);
    if (result) show(result);
  });
}

app.registerExtension({
  name: "otcache.results",

  setup() {
    api.addEventListener("otcache.text", (/** @type {CustomEvent<any>} */ { detail }) => {
      keep(detail.workflow, detail.node, detail);
    });
  },
});
