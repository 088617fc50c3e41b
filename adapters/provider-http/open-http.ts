/** How providers are spoken to. undici takes 30 ms to load: a command that asks nobody does without. */
import type { Agent, FormData, fetch } from "undici";

/** Three hours of sound take minutes before the first byte of the answer comes. */
const ANSWER_TIMEOUT_MS = 30 * 60_000;
const SILENCE_TIMEOUT_MS = 5 * 60_000;

export interface Http {
  agent: Agent;
  fetch: typeof fetch;
  FormData: typeof FormData;
}

let opened: Promise<Http> | undefined;

/** One for all providers, with their connections. */
export function openHttp(): Promise<Http> {
  return (opened ??= load());
}

async function load(): Promise<Http> {
  const undici = await import("./undici-http.ts");
  const agent = new undici.Agent({
    headersTimeout: ANSWER_TIMEOUT_MS,
    bodyTimeout: SILENCE_TIMEOUT_MS,
    keepAliveTimeout: 1_000,
  });
  return { agent, fetch: undici.fetch, FormData: undici.FormData };
}
