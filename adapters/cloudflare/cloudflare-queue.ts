/**
 * Cloudflare Queues over HTTP pull. There is no long polling: a wait is a loop of pulls whose pace
 * keeps the day's operations. developers.cloudflare.com/queues/configuration/pull-consumers
 */
import { setTimeout as delay } from "node:timers/promises";

import { Agent, fetch } from "undici";
import { z } from "zod";

import { ClipscribeError } from "../../core/errors.ts";
import { MAX_DELAY_MS, MAX_EVENT_BYTES } from "../../ports/event-queue.ts";
import type { EventQueue, LeasedEvent, PullOptions } from "../../ports/event-queue.ts";
import type { Log } from "../../ports/log.ts";
import { decodeBody } from "./message-body.ts";
import { createPollPace } from "./poll-pace.ts";

export interface CloudflareQueueOptions {
  /** With `/client/v4`. */
  baseUrl: string;
  accountId: string;
  apiToken: string;
  queueId: string;
  /** The longest wait between two pulls. */
  pollMs: number;
  operationsPerDay: number | null;
  log: Log;
  now?: () => number;
}

const TIMEOUT_MS = 30_000;
const MAX_PULL = 100;
/** Cloudflare: acks and retries of one request. */
const MAX_ACKS = 100;
const MAX_RETRY_AFTER_S = 60;
/** A pull of 100 messages of 128 KB in base64. */
const MAX_ANSWER_BYTES = 32 * 1024 * 1024;
/** developers.cloudflare.com/queues/reference/error-codes: FreeTierLimitExceeded */
const FREE_TIER_SPENT = 10253;

const Pulled = z.object({
  messages: z.array(
    z.object({
      id: z.string(),
      lease_id: z.string(),
      attempts: z.number().default(1),
      body: z.unknown(),
    }),
  ),
});
const Acked = z.object({ warnings: z.record(z.string(), z.unknown()).nullish() }).nullish();

const agent = new Agent({ headersTimeout: TIMEOUT_MS, bodyTimeout: TIMEOUT_MS });

export function openCloudflareQueue(options: CloudflareQueueOptions): EventQueue {
  const { baseUrl, accountId, queueId, pollMs, operationsPerDay, log, now = Date.now } = options;
  const base = `${baseUrl.replace(/\/$/, "")}/accounts/${accountId}/queues/${queueId}`;
  let notBefore = 0;
  const pace = createPollPace({ maxMs: pollMs, operationsPerDay, now });

  async function post(path: string, body: unknown, signal?: AbortSignal): Promise<unknown> {
    const timeout = AbortSignal.timeout(TIMEOUT_MS);
    let status: number;
    let text: string;
    let retryAfter: string | null;
    try {
      const response = await fetch(`${base}/${path}`, {
        method: "POST",
        headers: {
          authorization: `Bearer ${options.apiToken}`,
          "content-type": "application/json",
        },
        body: JSON.stringify(body),
        signal: signal === undefined ? timeout : AbortSignal.any([signal, timeout]),
        dispatcher: agent,
        redirect: "error",
      });
      status = response.status;
      retryAfter = response.headers.get("retry-after");
      text = await response.text();
    } catch (cause) {
      throwIfAborted(signal);
      throw new ClipscribeError("transient", "the queue can't be reached or broke off", {
        hint: "check the connection and CLOUDFLARE_API_BASE_URL",
        cause,
      });
    }
    if (text.length > MAX_ANSWER_BYTES) {
      throw new ClipscribeError("transient", "the queue's answer is too large");
    }
    const answer = parse(text);
    if (status >= 200 && status < 300 && answer?.success !== false) return answer?.result;
    const [error] = answer?.errors ?? [];
    if (error?.code === FREE_TIER_SPENT) pace.spent();
    else if (status === 429) await waitFor(retryAfter, signal);
    throw refusal(status, error);
  }

  async function pullOnce({ max, visibilityMs, signal }: PullOptions): Promise<LeasedEvent[]> {
    const wanted = { batch_size: Math.min(MAX_PULL, max), visibility_timeout_ms: visibilityMs };
    const parsed = Pulled.safeParse(await post("messages/pull", wanted, signal));
    if (!parsed.success) {
      throw new ClipscribeError("transient", "the queue's answer has an unknown shape", {
        cause: parsed.error,
      });
    }
    const { messages } = parsed.data;
    pace.pulled(messages.length);
    return messages.map(({ id, lease_id: leaseId, body, attempts }) => ({
      id,
      leaseId,
      body: decodeBody(body),
      attempts,
    }));
  }

  async function settle(body: {
    acks: { lease_id: string }[];
    retries: { lease_id: string; delay_seconds: number }[];
  }): Promise<void> {
    const { warnings } = Acked.catch(null).parse(await post("messages/ack", body)) ?? {};
    const count = Object.keys(warnings ?? {}).length;
    // The message comes again: the claim knows that it was taken on.
    if (count > 0) log.info("the queue did not know some leases any more", { count });
  }

  return {
    async send(body, send = {}) {
      const delayMs = send.delayMs ?? 0;
      if (Buffer.byteLength(body) > MAX_EVENT_BYTES || delayMs > MAX_DELAY_MS || delayMs < 0) {
        throw new ClipscribeError("contract", "the queue takes no such message", {
          details: { bytes: Buffer.byteLength(body), delay_ms: delayMs },
        });
      }
      const message = { body, content_type: "text", delay_seconds: Math.ceil(delayMs / 1000) };
      await post("messages", message, send.signal);
    },

    async pull(pull) {
      const { waitMs = 0, signal } = pull;
      const deadline = performance.now() + waitMs;
      for (;;) {
        throwIfAborted(signal);
        // The pace holds over calls: who asks again at once waits for its turn all the same.
        const pauseMs = waitMs === 0 ? 0 : notBefore - performance.now();
        const leftMs = deadline - performance.now();
        if (pauseMs > 0) await sleep(Math.min(leftMs, pauseMs), signal);
        if (pauseMs > 0 && pauseMs > leftMs) return [];
        const events = await pullOnce(pull).finally(() => {
          notBefore = performance.now() + pace.next();
        });
        if (events.length > 0 || performance.now() >= deadline) return events;
      }
    },

    async ack(leaseIds) {
      for (let at = 0; at < leaseIds.length; at += MAX_ACKS) {
        const acks = leaseIds.slice(at, at + MAX_ACKS).map((lease) => ({ lease_id: lease }));
        await settle({ acks, retries: [] });
      }
    },

    async retry(leases) {
      for (let at = 0; at < leases.length; at += MAX_ACKS) {
        const retries = leases.slice(at, at + MAX_ACKS).map(({ leaseId, delayMs }) => ({
          lease_id: leaseId,
          delay_seconds: Math.ceil(delayMs / 1000),
        }));
        await settle({ acks: [], retries });
      }
    },
  };
}

interface Envelope {
  success?: boolean;
  errors?: { code?: number; message?: string }[];
  result?: unknown;
}

function parse(text: string): Envelope | undefined {
  try {
    return JSON.parse(text) as Envelope;
  } catch {
    return undefined;
  }
}

/** Codes: developers.cloudflare.com/queues/reference/error-codes */
function refusal(
  status: number,
  error: { code?: number; message?: string } | undefined,
): ClipscribeError {
  const said = error?.message ?? `status ${status}`;
  const details = { status, code: error?.code };
  if (status === 401 || status === 403) {
    return new ClipscribeError("denied", "the queue refuses this token", {
      details,
      hint: "give CLOUDFLARE_API_TOKEN the right Queues: Edit",
    });
  }
  if (status === 404) {
    return new ClipscribeError("config", "there is no such queue", {
      details,
      hint: "check CLOUDFLARE_ACCOUNT_ID, CLIPSCRIBE_QUEUE_URGENT and CLIPSCRIBE_QUEUE_BATCH",
    });
  }
  if (status === 409) {
    return new ClipscribeError("transient", "the queue's delivery is paused", {
      details,
      hint: "resume it in Cloudflare's dashboard; until then the sweep finds what is new",
    });
  }
  // Not documented; seen of a queue that nobody may pull from.
  if (status === 405) {
    return new ClipscribeError("config", "the queue has no pull consumer", {
      details: { ...details, said },
      hint: "run `clipscribe cloud apply`; until then the sweep finds what is new",
    });
  }
  if (error?.code === FREE_TIER_SPENT) {
    return new ClipscribeError("transient", "the day's free operations of Queues are used up", {
      details,
      hint: "they are there again at 0:00 UTC, or take Workers Paid; until then the sweep finds what is new",
    });
  }
  const isOurs = status >= 400 && status < 500 && status !== 408 && status !== 429;
  return new ClipscribeError(isOurs ? "contract" : "transient", `the queue: ${said}`, { details });
}

async function waitFor(retryAfter: string | null, signal: AbortSignal | undefined): Promise<void> {
  const seconds = Number(retryAfter ?? 1);
  await sleep(1000 * Math.min(MAX_RETRY_AFTER_S, Number.isFinite(seconds) ? seconds : 1), signal);
}

async function sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
  await delay(ms, undefined, { signal }).catch(() => undefined);
  throwIfAborted(signal);
}

function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted !== true) return;
  throw new ClipscribeError("cancelled", "the work was interrupted", { cause: signal.reason });
}
