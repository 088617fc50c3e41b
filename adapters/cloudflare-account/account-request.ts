/**
 * One request to Cloudflare's REST API: bounded in time and size, its envelope read tolerantly, its
 * refusals translated. A 429 is waited out once as it asks, then told as transient; nothing is
 * repeated here. developers.cloudflare.com/api
 */
import { setTimeout as delay } from "node:timers/promises";

import { Agent, fetch } from "undici";

import { ClipscribeError } from "../../core/errors.ts";
import type { ErrorKind } from "../../core/errors.ts";
import type { Jurisdiction } from "../../core/r2-endpoint.ts";

/** What a token may: as the dashboard calls it. */
export type Right = "Workers R2 Storage: Edit" | "Queues: Edit" | null;

export interface AccountRequest {
  method: "GET" | "POST" | "PUT";
  path: string;
  right: Right;
  body?: unknown;
  jurisdiction?: Jurisdiction;
  signal?: AbortSignal | undefined;
}

export interface AccountApiOptions {
  /** With `/client/v4`. */
  baseUrl: string;
  apiToken: string;
}

/** What the API answered: its result, and how the pages go on. */
export interface AccountAnswer {
  result: unknown;
  info: Record<string, unknown>;
}

const TIMEOUT_MS = 30_000;
const MAX_RETRY_AFTER_S = 60;
/** A page of a thousand buckets is 200 KB; a pull of 100 messages of 128 KB in base64 is 18 MB. */
const MAX_ANSWER_BYTES = 32 * 1024 * 1024;

const agent = new Agent({ headersTimeout: TIMEOUT_MS, bodyTimeout: TIMEOUT_MS });

export async function requestAccount(
  { baseUrl, apiToken }: AccountApiOptions,
  { method, path, right, body, jurisdiction, signal }: AccountRequest,
): Promise<AccountAnswer> {
  const timeout = AbortSignal.timeout(TIMEOUT_MS);
  let status: number;
  let text: string;
  let retryAfter: string | null;
  try {
    const response = await fetch(`${baseUrl.replace(/\/$/, "")}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${apiToken}`,
        ...(body !== undefined && { "content-type": "application/json" }),
        ...(jurisdiction !== undefined &&
          jurisdiction !== "default" && { "cf-r2-jurisdiction": jurisdiction }),
      },
      body: body === undefined ? null : JSON.stringify(body),
      signal: signal === undefined ? timeout : AbortSignal.any([signal, timeout]),
      dispatcher: agent,
      redirect: "error",
    });
    status = response.status;
    retryAfter = response.headers.get("retry-after");
    text = await readBounded(response.body);
  } catch (cause) {
    if (cause instanceof ClipscribeError) throw cause;
    if (signal?.aborted === true) {
      throw new ClipscribeError("cancelled", "the work was interrupted", { cause: signal.reason });
    }
    throw new ClipscribeError("transient", "Cloudflare's API can't be reached or broke off", {
      hint: "check the connection and CLOUDFLARE_API_BASE_URL, then run again: it goes on",
      cause,
    });
  }
  const answer = parseEnvelope(text);
  // The API has answered 200 beside errors, and success beside a bad status: both have to be good.
  const isGood = status >= 200 && status < 300 && answer.success && answer.isJson;
  if (isGood) return { result: answer.result, info: answer.info };
  if (status === 429) await wait(retryAfter, signal);
  if (status < 300 && !answer.isJson) {
    throw new ClipscribeError("transient", "something else answers in Cloudflare's place", {
      hint: "sign in to the network that you are on, or correct CLOUDFLARE_API_BASE_URL",
    });
  }
  throw refusal(status, answer.errors, right);
}

async function readBounded(body: AsyncIterable<Uint8Array> | null): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body ?? []) {
    bytes += chunk.length;
    if (bytes > MAX_ANSWER_BYTES) {
      throw new ClipscribeError("contract", "Cloudflare's answer is too large", {
        details: { most_bytes: MAX_ANSWER_BYTES },
      });
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

interface ApiError {
  code: number;
  message: string;
}

interface Envelope {
  isJson: boolean;
  success: boolean;
  errors: ApiError[];
  result: unknown;
  info: Record<string, unknown>;
}

/** An empty answer is a good one: some writes have none. */
function parseEnvelope(text: string): Envelope {
  const empty = { isJson: true, success: true, errors: [], result: null, info: {} };
  if (text.trim() === "") return empty;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { ...empty, isJson: false, success: false };
  }
  if (typeof value !== "object" || value === null) return { ...empty, isJson: false };
  const { success, errors, result, result_info: info } = value as Record<string, unknown>;
  const listed = Array.isArray(errors) ? errors : [];
  return {
    isJson: true,
    success: success !== false && listed.length === 0,
    errors: listed.map((each) => {
      const { code, message } = (each ?? {}) as Record<string, unknown>;
      return { code: Number(code ?? 0), message: String(message ?? "") };
    }),
    result,
    info: typeof info === "object" && info !== null ? (info as Record<string, unknown>) : {},
  };
}

/** By code first: R2 has told of a missing bucket with status 404 and with 400. */
const BY_CODE: Record<number, [ErrorKind, string, string?]> = {
  7000: ["config", "there is no such account", "check CLOUDFLARE_ACCOUNT_ID"],
  7003: ["config", "there is no such account", "check CLOUDFLARE_ACCOUNT_ID"],
  10004: ["conflict", "the bucket is there already"],
  10005: ["config", "R2 takes no bucket of this name", "use 3 to 63 of a-z, 0-9 and -"],
  10006: ["missing", "there is no such bucket"],
  10042: [
    "config",
    "R2 is not enabled in this account",
    "enable it once in the dashboard, under R2",
  ],
  10059: ["missing", "there is no CORS configuration"],
  10073: ["conflict", "a bucket of this name is there already"],
  10085: ["missing", "there is no such bucket in this jurisdiction"],
  10104: ["missing", "there is no such queue"],
  10253: [
    "denied",
    "the day's free queue operations are used up",
    "wait until midnight UTC, or take Workers Paid",
  ],
  11000: ["missing", "there is no such queue"],
  11004: ["conflict", "the queue has a consumer already"],
  11009: ["conflict", "a queue of this name is there already"],
  11014: [
    "conflict",
    "the event rules overlap others, or can't be taken",
    "run `clipscribe cloud plan`: a rule of this bucket is in the way",
  ],
};
/** Of a token: not valid, not for this account, or without the right. */
const DENIED_CODES = [1000, 9106, 9109, 10000, 10003, 10106];

function refusal(status: number, errors: readonly ApiError[], right: Right): ClipscribeError {
  const known = errors.find(({ code }) => BY_CODE[code] !== undefined);
  const [first] = errors;
  const details = { status, code: (known ?? first)?.code };
  // R2's 10002 is Unauthorized; elsewhere it is the envelope's first sign of an unknown token.
  const isDenied =
    status === 401 || status === 403 || errors.some(({ code }) => DENIED_CODES.includes(code));
  if (known !== undefined && !(isDenied && status === 401)) {
    const [kind, message, hint] = BY_CODE[known.code] as [ErrorKind, string, string?];
    return new ClipscribeError(kind, message, { details, ...(hint !== undefined && { hint }) });
  }
  if (isDenied) {
    return new ClipscribeError("denied", "Cloudflare refuses this token", {
      details: { ...details, right: right ?? undefined },
      hint:
        right === null
          ? "check CLOUDFLARE_API_TOKEN"
          : `give the token the right Account · ${right}, for this account`,
    });
  }
  const said = first?.message ?? "";
  const isOurs = status >= 400 && status < 500 && status !== 408 && status !== 429;
  const isRoute = status === 404 && errors.length === 0;
  const kind = isRoute ? "config" : isOurs ? "contract" : "transient";
  return new ClipscribeError(kind, `Cloudflare's API answered ${status} ${said}`.trimEnd(), {
    details,
    hint: isRoute ? "check CLOUDFLARE_API_BASE_URL" : "run again: it goes on where it was",
  });
}

async function wait(retryAfter: string | null, signal: AbortSignal | undefined): Promise<void> {
  const asked = Number(retryAfter ?? 1);
  const seconds = Number.isFinite(asked) && asked >= 0 ? Math.min(asked, MAX_RETRY_AFTER_S) : 1;
  await delay(seconds * 1000, undefined, { signal }).catch(() => undefined);
}
