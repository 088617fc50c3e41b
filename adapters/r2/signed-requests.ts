/**
 * Objects and parts without the SDK, which spends half a millisecond of CPU on each request and a
 * tenth of a second on being loaded: see docs/decisions/2026-11-25-upload-path.md. The same store, the
 * same contract suite.
 *
 * Of what is sent, the server is told the MD5, under the signature, and refuses another body.
 */
import { hash } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import type { Readable } from "node:stream";

import type { Dispatcher } from "undici";
import Pool from "undici/lib/dispatcher/pool.js";

import { ClipscribeError } from "../../core/errors.ts";
import type { ObjectKey } from "../../core/keys.ts";
import type {
  Etag,
  GetOptions,
  PutOptions,
  RequestOptions,
  SendOptions,
  StreamOptions,
} from "../../ports/object-store.ts";
import { askBucket } from "./ask-bucket.ts";
import type { Answer } from "./ask-bucket.ts";
import { openBucketCalls } from "./call-bucket.ts";
import { conditionsOf, etagOf, isBucketEtag } from "./object-info.ts";
import { isDamaged, needed, refusal } from "./r2-error.ts";
import { encodePath, encodeQuery, openSigner } from "./sign-request.ts";
import type { Sign, SigningKeys, Unsigned } from "./sign-request.ts";
import { StallWatch, bodyOf } from "./stall-watch.ts";
import type { BucketKeys, RenewingKeys } from "./renewing-keys.ts";

/** No piece left for so long: the other side is gone (sleep, another network), or as good as. */
export const STALL_MS = 60_000;
/** Of an answer: until its first byte, and between two. */
const ANSWER_TIMEOUT_MS = 60_000;
/** Records are signed whole. What is larger is bound by its MD5, which is signed, and read by its SHA-256. */
const MAX_SIGNED_BYTES = 1024 * 1024;
const CONNECT_TIMEOUT_MS = 10_000;
const MAX_CONNECTIONS = 50;
const NO_BODY = hash("sha256", "", "hex");
/** An error's body is a few hundred bytes of XML. */
const MAX_ERROR_BYTES = 64 * 1024;
const NOT_MODIFIED = 304;

export interface SignedRequestsOptions {
  endpoint: string;
  keys: RenewingKeys<BucketKeys>;
  bucket: string;
  stallMs?: number | undefined;
}

/** What an answer says of an object, as the SDK names it. */
export interface Found {
  ETag: string;
  LastModified: Date | undefined;
  ContentLength: number;
}

export interface SignedRequests extends Disposable {
  /** Undefined where it still has the etag of `ifNoneMatch`. */
  get(key: ObjectKey, options: GetOptions): Promise<(Found & { body: Uint8Array }) | undefined>;
  getStream(
    key: ObjectKey,
    options: StreamOptions,
  ): Promise<Found & { body: AsyncIterable<Uint8Array> }>;
  head(key: ObjectKey, options: RequestOptions): Promise<Found>;
  put(key: ObjectKey, body: Uint8Array, options: PutOptions): Promise<Etag>;
  putPart(
    key: ObjectKey,
    uploadId: string,
    partNumber: number,
    body: Uint8Array,
    options: SendOptions,
  ): Promise<Etag>;
  /** A short body for a short answer, which `parse` reads; what it throws is translated as well. */
  post<Result>(key: ObjectKey, post: Post, parse: (answer: string) => Result): Promise<Result>;
}

export interface Post extends RequestOptions {
  query: Unsigned["query"];
  headers: Record<string, string>;
  body: string;
}

type Call = Pick<Unsigned, "method"> & Partial<Pick<Unsigned, "query" | "headers" | "payload">>;

export function openSignedRequests(options: SignedRequestsOptions): SignedRequests {
  const { bucket, stallMs = STALL_MS } = options;
  const endpoint = new URL(options.endpoint);
  const base = `${endpoint.pathname.replace(/\/+$/, "")}/${bucket}/`;
  const signers = new WeakMap<SigningKeys, Sign>();
  const call = openBucketCalls(options.keys, bucket);
  const pool = new Pool(endpoint.origin, {
    connections: MAX_CONNECTIONS,
    pipelining: 1,
    connect: { timeout: CONNECT_TIMEOUT_MS },
  });

  /** Deriving a key takes longer than signing: once for each that we are given. */
  async function currentSigner(): Promise<Sign> {
    const keys = await options.keys.current();
    const sign = signers.get(keys) ?? openSigner(keys);
    signers.set(keys, sign);
    return sign;
  }

  async function signed(key: ObjectKey, call: Call): Promise<Dispatcher.DispatchOptions> {
    const { method, query = [], headers = {}, payload = NO_BODY } = call;
    const path = encodePath(`${base}${key}`);
    const sign = await currentSigner();
    const all = sign({ method, host: endpoint.host, path, query, headers, payload }, new Date());
    return {
      method,
      path: query.length === 0 ? path : `${path}?${encodeQuery(query)}`,
      headers: all,
      headersTimeout: ANSWER_TIMEOUT_MS,
      bodyTimeout: ANSWER_TIMEOUT_MS,
    };
  }

  async function read(
    method: "GET" | "HEAD",
    key: ObjectKey,
    { signal, ...options }: GetOptions & StreamOptions,
  ): Promise<Answer> {
    return ask(await signed(key, { method, headers: conditionsOf(options) }), signal);
  }

  async function ask(
    request: Dispatcher.DispatchOptions,
    signal: AbortSignal | undefined,
  ): Promise<Answer> {
    const { answer, abort } = askBucket(pool, request);
    const follow = (): void => abort(asError(signal?.reason));
    signal?.addEventListener("abort", follow, { once: true });
    if (signal?.aborted === true) follow();
    try {
      return await answer;
    } finally {
      signal?.removeEventListener("abort", follow);
    }
  }

  async function send(
    key: ObjectKey,
    query: Unsigned["query"],
    headers: Record<string, string>,
    body: Uint8Array,
    { signal, digests = {}, beforeBytes }: SendOptions,
  ): Promise<Etag> {
    const md5 = digests.md5 ?? hash("md5", body, "hex");
    const payload =
      body.length > MAX_SIGNED_BYTES
        ? "UNSIGNED-PAYLOAD"
        : (digests.sha256 ?? hash("sha256", body, "hex"));
    const contentMd5 = Buffer.from(md5, "hex").toString("base64");
    return call({ key, signal }, async () => {
      const watch = new StallWatch(stallMs, signal);
      try {
        const request = await signed(key, {
          method: "PUT",
          query,
          headers: { ...headers, "content-md5": contentMd5 },
          payload,
        });
        const { answer, abort } = askBucket(pool, {
          ...request,
          headers: { ...(request.headers as object), "content-length": `${body.length}` },
          body: await bodyOf(body, watch, beforeBytes),
          // The watch knows more: these would take a slow link for a dead one.
          headersTimeout: 0,
          bodyTimeout: 0,
        });
        watch.guard(abort);
        return etagOf(foundIn(await answer, bucket).ETag);
      } catch (error) {
        if (isDamaged(error) && hash("md5", body, "hex") !== md5) throw isNotMeant(key, error);
        if (!watch.isStalled) throw error;
        throw new ClipscribeError("transient", "the upload stands still", {
          details: { key, seconds: Math.round(stallMs / 1000) },
          hint: "check the connection; it goes on where it was",
          cause: error,
        });
      } finally {
        watch.end();
      }
    });
  }

  return {
    get: async (key, get) =>
      call({ key, signal: get.signal }, async () => {
        const answer = await read("GET", key, get);
        if (answer.statusCode === NOT_MODIFIED) return undefined;
        return { ...foundIn(answer, bucket), body: answer.body };
      }),
    getStream: async (key, get) =>
      call({ key, signal: get.signal }, async () => {
        const request = await signed(key, { method: "GET", headers: conditionsOf(get) });
        // The whole package gives the pool its `request`: who reads a stream has more to wait for.
        await import("undici");
        const answer = await pool.request({ ...request, signal: get.signal });
        if (!isSuccess(answer.statusCode)) {
          throw refusal(answer.statusCode, await readStart(answer.body));
        }
        const found = foundIn({ ...answer, body: Buffer.alloc(0) }, bucket);
        return { ...found, body: readSoon(answer.body) };
      }),
    head: async (key, head) =>
      call({ key, signal: head.signal }, async () =>
        foundIn(await read("HEAD", key, head), bucket),
      ),
    put: async (key, body, put) => {
      const { ifMatch, contentType } = put;
      const headers: Record<string, string> = {};
      if (contentType !== undefined) headers["content-type"] = contentType;
      Object.assign(headers, conditionsOf({ ifMatch }));
      return send(key, [], headers, body, put);
    },
    putPart: async (key, uploadId, partNumber, body, part) => {
      const query = [["partNumber", `${partNumber}`] as const, ["uploadId", uploadId] as const];
      return send(key, query, {}, body, part);
    },
    post: async (key, { query, headers, body, signal }, parse) =>
      call({ key, signal }, async () => {
        const about = { method: "POST" as const, query, headers };
        const request = await signed(key, { ...about, payload: hash("sha256", body, "hex") });
        const answer = await ask({ ...request, body }, signal);
        const text = answer.body.toString("utf8", 0, MAX_ERROR_BYTES);
        if (!isSuccess(answer.statusCode)) throw refusal(answer.statusCode, text);
        return parse(text);
      }),
    [Symbol.dispose]: () => void pool.destroy(),
  };
}

function isSuccess(statusCode: number): boolean {
  return statusCode === 200 || statusCode === 206;
}

/** @throws in the shape of the SDK's errors; `transient` where what answers is no bucket. */
function foundIn({ statusCode, headers, body }: Answer, bucket: string): Found {
  if (!isSuccess(statusCode)) throw refusal(statusCode, body.toString("utf8", 0, MAX_ERROR_BYTES));
  const modified = headers["last-modified"];
  return {
    ETag: needed(isSomePage(headers) ? undefined : headers.etag, bucket),
    LastModified: modified === undefined ? undefined : new Date(modified),
    ContentLength: Number(headers["content-length"] ?? 0),
  };
}

/** Of a web server that answers in the bucket's place; a page of ours in the bucket has the bucket's etag. */
function isSomePage({ "content-type": type = "", etag }: IncomingHttpHeaders): boolean {
  return type.startsWith("text/html") && !isBucketEtag(etag);
}

/** A body that nobody begins to read would hold its connection for ever. */
function readSoon(body: Readable): AsyncIterable<Uint8Array> {
  const unread = setTimeout(() => body.destroy(), ANSWER_TIMEOUT_MS).unref();
  // Who reads is told of it there; who does not must not end the process.
  body.on("error", () => undefined);
  return {
    [Symbol.asyncIterator]() {
      clearTimeout(unread);
      return body[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>;
    },
  };
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

/** The digest that came with a body is that of another: what was read before is not what is there now. */
function isNotMeant(key: ObjectKey, cause: unknown): ClipscribeError {
  return new ClipscribeError("contract", "the body is not the one that its digest was made of", {
    details: { key },
    cause,
  });
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error("interrupted", { cause: reason });
}
