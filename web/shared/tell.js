// @ts-check
// Says something on the page for a few seconds, where no node is the place for it.

import { app } from "../../../scripts/app.js";

const MILLISECONDS = { error: 8_000, warn: 12_000, info: 20_000 };

/** @param {string} detail @param {keyof typeof MILLISECONDS} severity */
export function tell(detail, severity) {
  const life = MILLISECONDS[severity];
  app.extensionManager?.toast?.add?.({ severity, summary: "OTCache", detail, life });
}
