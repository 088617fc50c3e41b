/**
 * PUTs of objects and parts without the SDK, which spends half a millisecond of CPU on each: see
 * docs/decisions/2026-11-25-upload-path.md. The same store, the same contract suite.
 *
 * The server is told what the body is (Content-MD5, under the signature) and refuses another. A body leaves in small pieces: a link on which none moves is given up soon,
 * and one that is only slow never is.
 */
import { hash } from "node:crypto";
import type { Readable } from "node:stream";

import { Pool } from "undici";

import { ClipscribeError } from "../../core/errors.ts";
import type { ObjectKey } from "../../core/keys.ts";
import type { Etag, PutOptions, SendOptions } from "../../ports/object-store.ts";
import { describeS3Error, needed } from "./r2-error.ts";
import { encodePath, encodeQuery, openSigner } from "./sign-request.ts";
import { withFreshKeys } from "./renewing-keys.ts";
import type { BucketKeys, RenewingKeys } from "./renewing-keys.ts";
import type { Sign, SigningKeys } from "./sign-request.ts";

/** Four parts share a link of 64 kbit/s: a piece of each leaves in half a minute. */
const PIECE_BYTES = 64 * 1024;
/** No piece left for so long: the other side is gone (sleep, another network), or as good as. */
export const STALL_MS = 60_000;
/** Records are signed whole. What is larger is bound by its MD5, which is signed, and read by its SHA-256. */
const MAX_SIGNED_BYTES = 1024 * 1024;
const CONNECT_TIMEOUT_MS = 10_000;
const MAX_CONNECTIONS = 16;
/** An error's body is a few hundred bytes of XML. */
const MAX_ERROR_BYTES = 64 * 1024;

export interface SignedPutsOptions {
  endpoint: string;
  keys: RenewingKeys<BucketKeys>;
  bucket: string;
  stallMs?: number | undefined;
}

export interface SignedPuts extends Disposable {
  put(key: ObjectKey, body: Uint8Array, options: PutOptions): Promise<Etag>;
  putPart(
    key: ObjectKey,
    uploadId: string,
    partNumber: number,
    body: Uint8Array,
    options: SendOptions,
  ): Promise<Etag>;
}

type Query = readonly (readonly [string, string])[];

export function openSignedPuts(options: SignedPutsOptions): SignedPuts {
  const { bucket, stallMs = STALL_MS } = options;
  const endpoint = new URL(options.endpoint);
  const base = `${endpoint.pathname.replace(/\/+$/, "")}/${bucket}/`;
  const signers = new WeakMap<SigningKeys, Sign>();
  const pool = new Pool(endpoint.origin, {
    connections: MAX_CONNECTIONS,
    pipelining: 1,
    connect: { timeout: CONNECT_TIMEOUT_MS },
    // The watch below knows more: these would take a slow link for a dead one.
    headersTimeout: 0,
    bodyTimeout: 0,
  });

  /** Deriving a key takes longer than signing: once for each that we are given. */
  async function currentSigner(): Promise<Sign> {
    const keys = await options.keys.current();
    const sign = signers.get(keys) ?? openSigner(keys);
    signers.set(keys, sign);
    return sign;
  }

  async function send(...call: Parameters<typeof sendOnce>): Promise<Etag> {
    return withFreshKeys(options.keys, async () => sendOnce(...call));
  }

  async function sendOnce(
    key: ObjectKey,
    query: Query,
    headers: Record<string, string>,
    body: Uint8Array,
    { signal, digests = {}, beforeBytes }: SendOptions,
  ): Promise<Etag> {
    const path = encodePath(`${base}${key}`);
    const md5 = digests.md5 ?? hash("md5", body, "hex");
    const payload =
      body.length > MAX_SIGNED_BYTES
        ? "UNSIGNED-PAYLOAD"
        : (digests.sha256 ?? hash("sha256", body, "hex"));
    const watch = new StallWatch(stallMs, signal);
    try {
      signal?.throwIfAborted();
      const sign = await currentSigner();
      const signed = sign(
        {
          method: "PUT",
          host: endpoint.host,
          path,
          query,
          headers: { ...headers, "content-md5": Buffer.from(md5, "hex").toString("base64") },
          payload,
        },
        new Date(),
      );
      const answer = await pool.request({
        method: "PUT",
        path: query.length === 0 ? path : `${path}?${encodeQuery(query)}`,
        headers: { ...signed, "content-length": `${body.length}` },
        body: await bodyOf(body, watch, beforeBytes),
        signal: watch.signal,
      });
      const text = await readStart(answer.body);
      const { statusCode } = answer;
      if (statusCode !== 200) throw refusal(statusCode, text);
      const etag = needed(answer.headers["etag"], bucket);
      return String(etag).replaceAll('"', "") as Etag;
    } catch (error) {
      if (watch.isStalled) {
        throw new ClipscribeError("transient", "the upload stands still", {
          details: { key, seconds: Math.round(stallMs / 1000) },
          hint: "check the connection; it goes on where it was",
          cause: error,
        });
      }
      throw describeS3Error(error, { key, bucket, signal });
    } finally {
      watch.end();
    }
  }

  return {
    put: async (key, body, put) => {
      const { ifMatch, contentType } = put;
      const headers: Record<string, string> = {};
      if (contentType !== undefined) headers["content-type"] = contentType;
      if (ifMatch === null) headers["if-none-match"] = "*";
      else if (ifMatch !== undefined) headers["if-match"] = `"${ifMatch}"`;
      return send(key, [], headers, body, put);
    },
    putPart: async (key, uploadId, partNumber, body, part) => {
      const query = [["partNumber", `${partNumber}`] as const, ["uploadId", uploadId] as const];
      return send(key, query, {}, body, part);
    },
    [Symbol.dispose]: () => void pool.destroy(),
  };
}

/** What is one piece goes as it is. */
async function bodyOf(
  body: Uint8Array,
  watch: StallWatch,
  beforeBytes: SendOptions["beforeBytes"],
): Promise<Uint8Array | Readable> {
  if (body.length > PIECE_BYTES) {
    // Any async iterable will do; its types name only Node's streams.
    return inPieces(body, watch, beforeBytes) as unknown as Readable;
  }
  await beforeBytes?.(body.length);
  watch.start();
  watch.sentAll();
  return body;
}

async function* inPieces(
  body: Uint8Array,
  watch: StallWatch,
  beforeBytes: SendOptions["beforeBytes"],
): AsyncGenerator<Uint8Array> {
  watch.start();
  for (let at = 0; at < body.length; at += PIECE_BYTES) {
    const piece = body.subarray(at, at + PIECE_BYTES);
    // A connection that has ended asks for one more: that one does not leave.
    watch.signal.throwIfAborted();
    // Who waits for the pace does not stand still.
    watch.pause();
    await beforeBytes?.(piece.length);
    watch.moved();
    yield piece;
  }
  watch.sentAll();
}

/**
 * Aborts when nothing moves, from the first piece on: before it, a connection is waited for, which
 * has its own limit, or a turn among many. What was handed to the system may still wait there to be
 * sent.
 */
class StallWatch {
  readonly #stallMs: number;
  readonly #ours = new AbortController();
  readonly #theirs: AbortSignal | undefined;
  readonly #follow = (): void => this.#ours.abort(this.#theirs?.reason);
  #startedMs = 0;
  #timer: NodeJS.Timeout | undefined;
  #isOver = false;
  isStalled = false;

  constructor(stallMs: number, theirs: AbortSignal | undefined) {
    this.#stallMs = stallMs;
    this.#theirs = theirs;
    // Cheaper than `AbortSignal.any`, thousands of times.
    theirs?.addEventListener("abort", this.#follow, { once: true });
    if (theirs?.aborted === true) this.#follow();
  }

  get signal(): AbortSignal {
    return this.#ours.signal;
  }

  start(): void {
    this.#startedMs = performance.now();
  }

  moved(): void {
    this.#wait(this.#stallMs);
  }

  pause(): void {
    clearTimeout(this.#timer);
  }

  /** A link that took minutes for the body may take as long for what is left in buffers. */
  sentAll(): void {
    this.#wait(this.#stallMs + performance.now() - this.#startedMs);
  }

  /** A body may be asked for its next piece even then. */
  end(): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.#theirs?.removeEventListener("abort", this.#follow);
  }

  #wait(ms: number): void {
    clearTimeout(this.#timer);
    if (this.#isOver) return;
    this.#timer = setTimeout(() => {
      this.isStalled = true;
      this.#ours.abort();
    }, ms);
  }
}

async function readStart(body: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    if (bytes < MAX_ERROR_BYTES) chunks.push(chunk);
    bytes += chunk.length;
  }
  return Buffer.concat(chunks).toString("utf8");
}

/** In the shape of the SDK's errors, so that one place knows what they mean. */
function refusal(httpStatusCode: number, text: string): Error {
  const code = /<Code>([A-Za-z]{1,80})<\/Code>/.exec(text)?.[1] ?? "";
  const message = /<Message>([^<]{0,300})/.exec(text)?.[1] ?? `HTTP ${httpStatusCode}`;
  return Object.assign(new Error(message), { name: code, $metadata: { httpStatusCode } });
}
