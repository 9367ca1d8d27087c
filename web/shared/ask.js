// @ts-check
// Asks the pack's routes on the server that the page came from, and no other.

import { api } from "../../../scripts/api.js";
import { say, sayMessage } from "./words.js";

/**
 * @param {string} route  its name below /otcache
 * @param {{ query?: Record<string, string>, body?: unknown }} question  a body makes it a POST
 * @returns {Promise<{ answer?: any, error?: string }>}
 */
export async function ask(route, { query = {}, body = undefined } = {}) {
  const options =
    body === undefined
      ? {}
      : { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  const search = new URLSearchParams(query).toString();
  try {
    const response = await api.fetchApi(`/otcache/${route}${search ? `?${search}` : ""}`, options);
    const answer = await response.json();
    return response.ok ? { answer } : { error: sayMessage(answer.said ?? { text: String(answer.error ?? response.status) }) };
  } catch {
    return { error: say("unreachable") };
  }
}
