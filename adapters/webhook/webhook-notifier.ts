/**
 * A signed POST, as in Standard Webhooks (https://www.standardwebhooks.com). The address is somebody
 * else's word, so: https, no redirect, no private address unless allowed, and the address that was
 * checked is the one that is connected to. Ten seconds in all, however slowly an answer drips.
 */
import { lookup } from "node:dns";
import type { LookupAddress, LookupAllOptions } from "node:dns";
import { isIP } from "node:net";

import { Agent, fetch } from "undici";

import { ClipscribeError } from "../../core/errors.ts";
import { problemOfWebhook } from "../../core/recipients.ts";
import type { Clock } from "../../ports/clock.ts";
import type { Message, Notifier } from "../../ports/notifier.ts";
import { isPrivateAddress } from "../egress/private-address.ts";
import { parseSecrets, signWebhook } from "./sign-webhook.ts";

/** Standard Webhooks: a receiver has some fifteen seconds at most. */
const TIMEOUT_MS = 10_000;
/** Ids look so in the specification; the rest is the message's own id. */
const ID_PREFIX = "msg_";
const IDLE_CONNECTION_MS = 4_000;
const MAX_HEADER_BYTES = 16 * 1024;

type Resolve = (
  host: string,
  options: LookupAllOptions,
  callback: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
) => void;

export interface WebhookOptions {
  /** As in CLIPSCRIBE_WEBHOOK_SECRET. */
  secret: string;
  allowPrivate: boolean;
  clock: Pick<Clock, "now">;
  version: string;
  timeoutMs?: number;
  /** The system's resolver; a test gives its own. */
  resolve?: Resolve;
}

export function openWebhookNotifier(options: WebhookOptions): Notifier & AsyncDisposable {
  const { allowPrivate, clock, timeoutMs = TIMEOUT_MS, resolve = lookup } = options;
  const secrets = parseSecrets(options.secret);
  const agent = new Agent({
    connect: {
      timeout: timeoutMs,
      lookup: (host, { family, hints }, callback) => {
        const wanted: LookupAllOptions = { all: true, ...(hints !== undefined && { hints }) };
        if (typeof family === "number") wanted.family = family;
        resolve(host, wanted, (error, addresses) => {
          const isBad = error === null && !allowPrivate && addresses.some(isPrivate);
          const failure = isBad ? privateAddress(host) : error;
          const [first = { address: "", family: 0 }] = addresses ?? [];
          // Node asks for all of them, or for one.
          const answer = callback as (...args: unknown[]) => void;
          if (failure !== null) answer(failure);
          else answer(null, addresses, first.family);
        });
      },
    },
    headersTimeout: timeoutMs,
    bodyTimeout: timeoutMs,
    maxHeaderSize: MAX_HEADER_BYTES,
    keepAliveTimeout: IDLE_CONNECTION_MS,
    keepAliveMaxTimeout: IDLE_CONNECTION_MS,
  });

  async function send(
    message: Message,
    to: string | null,
    { signal }: { signal?: AbortSignal | undefined } = {},
  ): Promise<void> {
    const url = checkAddress(to, allowPrivate);
    const id = `${ID_PREFIX}${message.id}`;
    const timestampS = Math.floor(clock.now().getTime() / 1000);
    const timeout = AbortSignal.timeout(timeoutMs);
    try {
      const response = await fetch(url, {
        method: "POST",
        body: message.body,
        headers: {
          "content-type": "application/json",
          "user-agent": `ClipScribe/${options.version}`,
          "webhook-id": id,
          "webhook-timestamp": String(timestampS),
          "webhook-signature": signWebhook(secrets, { id, timestampS, body: message.body }),
        },
        redirect: "manual",
        dispatcher: agent,
        signal: AbortSignal.any([timeout, ...(signal === undefined ? [] : [signal])]),
      });
      // Nothing that a receiver says beside its status is read.
      await response.body?.cancel();
      judge(response.status, url);
    } catch (thrown) {
      if (thrown instanceof ClipscribeError) throw thrown;
      if (signal?.aborted === true) {
        throw new ClipscribeError("cancelled", "the message was not sent", { cause: thrown });
      }
      const cause = thrown instanceof Error ? (thrown.cause ?? thrown) : thrown;
      if (cause instanceof ClipscribeError) throw cause;
      const what = timeout.aborted ? "did not answer in time" : "can't be reached or broke off";
      throw new ClipscribeError("transient", `the webhook's receiver ${what}`, {
        details: { host: url.host },
        hint: "it is tried again; check the receiver and the address",
        cause,
      });
    }
  }
  return { channel: "webhook", send, [Symbol.asyncDispose]: async () => agent.close() };
}

/** Resolved names are checked where they are connected to; an address that is no name, here. */
function checkAddress(to: string | null, allowPrivate: boolean): URL {
  const problem = to === null ? "there is none" : problemOfWebhook(to, allowPrivate);
  if (to === null || problem !== undefined) {
    throw new ClipscribeError("contract", `the webhook's address can't be used: ${problem}`, {
      hint: "give an https:// address, then send it again",
    });
  }
  const url = new URL(to);
  const host = url.hostname.replaceAll(/^\[|\]$/g, "");
  if (!allowPrivate && isIP(host) > 0 && isPrivateAddress(host)) throw privateAddress(host);
  return url;
}

function isPrivate({ address }: LookupAddress): boolean {
  return isPrivateAddress(address);
}

function privateAddress(host: string): ClipscribeError {
  return new ClipscribeError("denied", "the webhook's address lies in a private network", {
    details: { host },
    hint: "set CLIPSCRIBE_ALLOW_PRIVATE=webhook where runners run, if you mean it",
  });
}

/** @throws unless the receiver took it: 2xx. */
function judge(status: number, { host }: URL): void {
  if (status >= 200 && status < 300) return;
  const details = { host };
  if (status === 410) {
    throw new ClipscribeError("missing", "the webhook's receiver says that it is gone (410)", {
      details,
      hint: "nothing is sent there any more; `clipscribe notify test --webhook URL` takes it up again",
    });
  }
  if (status >= 300 && status < 400) {
    throw new ClipscribeError("config", `the webhook's receiver redirects (${status})`, {
      details,
      hint: "give the address that it redirects to: a redirect is not followed",
    });
  }
  const isDenied = status === 401 || status === 403;
  throw new ClipscribeError(
    isDenied ? "denied" : "transient",
    `the webhook's receiver answered ${status}`,
    {
      details,
      hint: "it is tried again; look at the receiver's log",
    },
  );
}
