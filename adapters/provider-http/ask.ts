/**
 * One request to a provider, its errors as kinds. Only 429 and 503 are asked again here, as often
 * and as late as the provider says; everything else that may pass is the runner's to retry.
 */
import { setTimeout as delay } from "node:timers/promises";

import type { FormData, Response } from "undici";

import { ClipscribeError } from "../../core/errors.ts";
import type { ErrorKind } from "../../core/errors.ts";
import { safeLine, withoutSignatures } from "../../core/safe-text.ts";
import { openHttp } from "./open-http.ts";

/** Three hours with a time for each word are 5 MB. */
const MAX_ANSWER_BYTES = 64 * 1024 * 1024;
const MAX_ASKS = 4;
/** Who says to come back later than this is asked again by a person, or by the next run. */
const MAX_RETRY_AFTER_S = 300;

export interface Question {
  provider: string;
  url: string;
  /** Null where the server wants none. */
  key: string | null;
  /** Made anew for each try: a body can be read once. */
  body: () => Promise<FormData | string> | FormData | string;
  signal: AbortSignal;
}

/** @returns the answer's JSON. @throws `transient`, `denied`, `config`, `contract`. */
export async function ask(question: Question): Promise<unknown> {
  for (let tries = 1; ; tries++) {
    const { status, headers, text } = await send(question);
    const answer = parseJson(text);
    const isBusy = status === 429 || status === 503;
    const seconds = isBusy ? retryAfter(headers.get("retry-after"), tries) : 0;
    if (isBusy && tries < MAX_ASKS && seconds <= MAX_RETRY_AFTER_S) {
      await delay(seconds * 1000, undefined, { signal: question.signal });
      continue;
    }
    if (status < 200 || status > 299) {
      const isLong = seconds > MAX_RETRY_AFTER_S;
      const later = isLong ? `; it says to come back in ${Math.ceil(seconds / 60)} min` : "";
      throw refusal(question.provider, status, answer, text, later);
    }
    if (answer === undefined) {
      throw new ClipscribeError("transient", `${question.provider} sent no whole JSON answer`);
    }
    const said = errorIn(answer);
    if (said !== undefined) {
      throw refusal(question.provider, said.status ?? 502, answer, said.message);
    }
    return answer;
  }
}

async function send(
  question: Question,
): Promise<{ status: number; headers: Response["headers"]; text: string }> {
  const { provider, url, key, signal } = question;
  const { agent, fetch } = await openHttp();
  const body = await question.body();
  const headers: Record<string, string> = {};
  if (key !== null) headers["authorization"] = `Bearer ${key}`;
  if (typeof body === "string") headers["content-type"] = "application/json";
  try {
    const response = await fetch(url, {
      method: "POST",
      body,
      headers,
      signal,
      dispatcher: agent,
      // A redirect would carry the sound, and perhaps the key, elsewhere.
      redirect: "error",
    });
    return {
      status: response.status,
      headers: response.headers,
      text: withoutSignatures(await readBounded(response, provider)),
    };
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof ClipscribeError) throw error;
    const cause = error instanceof Error ? (error.cause ?? error) : error;
    throw new ClipscribeError("transient", `${provider} can't be reached or broke off`, {
      details: { host: new URL(url).host },
      hint: "check the connection and the address; finished work is kept",
      cause,
    });
  }
}

async function readBounded(response: Response, provider: string): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    const part = chunk as Uint8Array;
    bytes += part.length;
    if (bytes > MAX_ANSWER_BYTES) {
      throw new ClipscribeError("contract", `${provider}'s answer is too large`);
    }
    chunks.push(part);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

/** Seconds, as a number or a date (RFC 9110 §10.2.3); without one, an exponential wait. */
function retryAfter(header: string | null, tries: number): number {
  if (header === null) return 2 ** (tries - 1);
  const seconds = Number(header);
  if (Number.isFinite(seconds)) return Math.max(0, seconds);
  const at = Date.parse(header);
  return Number.isNaN(at) ? 2 ** (tries - 1) : Math.max(0, (at - Date.now()) / 1000);
}

/** A 200 whose body is an error: xAI sends `{error, code}`, Mistral `{object: "error", …}`. */
function errorIn(answer: unknown): { message: string; status: number | null } | undefined {
  if (typeof answer !== "object" || answer === null) return undefined;
  const { object, error, code, raw_status_code: raw } = answer as Record<string, unknown>;
  if (object !== "error" && (error === undefined || error === null)) return undefined;
  const status = [raw, code].map(Number).find((number) => number >= 400 && number < 600);
  return { message: describeAnswer(answer) ?? "an error", status: status ?? null };
}

function refusal(
  provider: string,
  status: number,
  answer: unknown,
  text: string,
  later = "",
): ClipscribeError {
  const said = safeLine(describeAnswer(answer) ?? text, 300);
  const kind = kindOf(status, said);
  const hints: Partial<Record<ErrorKind, string>> = {
    denied: `check ${provider}'s API key and account, then run again: finished work is kept`,
    config: "check the model's name and the server's address; `clipscribe models` lists both",
    contract: "the request is refused as it is; finished work is kept",
    transient: "run it again later: finished work is kept",
  };
  const hint = hints[kind];
  return new ClipscribeError(kind, `${provider} answered ${status}: ${said}${later}`, {
    ...(hint !== undefined && { hint }),
  });
}

function kindOf(status: number, said: string): ErrorKind {
  if (status === 401 || status === 402 || status === 403) return "denied";
  // xAI answers a wrong key with 400.
  if (status === 400 && /\bapi[ _-]?key\b|unauthori[sz]ed|\bcredential/i.test(said))
    return "denied";
  if (status === 404) return "config";
  if (status === 408 || status === 425 || status === 429 || status >= 500) return "transient";
  return "contract";
}

/** `message` is a text, or holds FastAPI's `detail`: `[{loc, msg}]`. */
function describeAnswer(answer: unknown): string | undefined {
  if (typeof answer === "string") return answer;
  if (typeof answer !== "object" || answer === null) return undefined;
  const { message, error, detail } = answer as Record<string, unknown>;
  if (Array.isArray(detail)) {
    return detail
      .map((each: unknown) => {
        if (typeof each !== "object" || each === null) return String(each);
        const { loc, msg } = each as { loc?: unknown; msg?: unknown };
        const where = Array.isArray(loc) ? `${loc.join(".")}: ` : "";
        return `${where}${typeof msg === "string" ? msg : JSON.stringify(each)}`;
      })
      .join("; ");
  }
  return describeAnswer(detail) ?? describeAnswer(message) ?? describeAnswer(error);
}
