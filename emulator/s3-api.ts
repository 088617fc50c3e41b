/**
 * The S3 API of one bucket, as far as R2 has it. Whoever differs from R2's documented behaviour is
 * in docs/emulator.md. Requests are authenticated, and what can't succeed is refused, before a
 * body is asked for.
 */
import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";

import { readBody } from "./body.ts";
import type { Bucket, Conditions } from "./bucket.ts";
import { damaged } from "./faults.ts";
import type { FaultPlan } from "./faults.ts";
import { listObjects } from "./list-objects.ts";
import { S3Error } from "./s3-error.ts";
import {
  checkLength,
  checkReadConditions,
  describeHeaders,
  descriptionOf,
  headerOf,
  isUnchanged,
  matches,
  parseRange,
  readConditions,
  unquote,
} from "./s3-headers.ts";
import { FULL_GRANT, actionOf, checkGrant, readSessionToken } from "./session-token.ts";
import type { Grant } from "./session-token.ts";
import { authenticate, decode, splitUrl } from "./signature.ts";
import type { Credentials, Signer } from "./signature.ts";
import { MAX_XML_BYTES, readXml, writeXml } from "./xml.ts";
import type { XmlValue } from "./xml.ts";

/** What R2 tells of: an object was made, or is gone. */
export interface ObjectChange {
  action: "PutObject" | "CopyObject" | "CompleteMultipartUpload" | "DeleteObject";
  key: string;
  size?: number;
  etag?: string;
}

export interface S3Options {
  bucketName: string;
  bucket: Bucket;
  credentials: Credentials;
  /** Whose session tokens are taken. */
  accountId: string;
  faults: FaultPlan;
  now: () => number;
  changed: (change: ObjectChange) => void;
}

const MAX_KEY_BYTES = 1024;
const MAX_PARTS = 10_000;
const WRITE_INTERVAL_MS = 1_000;

interface Call {
  request: IncomingMessage;
  response: ServerResponse;
  query: ReadonlyMap<string, string>;
  /** "" where the bucket itself is meant. */
  key: string;
  signer: Signer;
  expectsContinue: boolean;
  grant: Grant;
}

export interface S3Api {
  handle(request: IncomingMessage, response: ServerResponse, expects: boolean): Promise<void>;
}

export function openS3Api(options: S3Options): S3Api {
  const { bucket, bucketName, credentials, faults, now } = options;
  const lastWrite = new Map<string, number>();

  async function handle(
    request: IncomingMessage,
    response: ServerResponse,
    expectsContinue: boolean,
  ): Promise<void> {
    try {
      const { path, query: pairs } = splitUrl(request.url ?? "/");
      const query = new Map(pairs);
      const method = request.method ?? "GET";
      const about = { method, url: request.url ?? "/", headers: request.headers };
      const session =
        query.get("X-Amz-Security-Token") ?? headerOf(request, "x-amz-security-token");
      const { credentials: signing, grant } = readSession(session, request);
      const signer = authenticate(about, signing, now());
      const [, name = "", ...rest] = path.split("/");
      if (name === "" && grant.paths !== null) {
        throw new S3Error("AccessDenied", "the session token is for one bucket");
      }
      if (name === "") return sendXml(response, "ListAllMyBucketsResult", listBuckets());
      if (decode(name) !== bucketName) throw new S3Error("NoSuchBucket", "there is no such bucket");
      const key = decode(rest.join("/"));
      if (Buffer.byteLength(key) > MAX_KEY_BYTES) {
        throw new S3Error("KeyTooLongError", "a key has at most 1,024 bytes");
      }
      const call = { request, response, query, key, signer, expectsContinue, grant };
      checkReach(call, method);
      await (key === "" ? onBucket(call, method) : onObject(call, method));
    } catch (error) {
      sendError(request, response, error);
    }
  }

  function readSession(
    token: string,
    { headers }: IncomingMessage,
  ): { credentials: Credentials; grant: Grant } {
    if (token === "") return { credentials, grant: FULL_GRANT };
    const { accountId } = options;
    const host = headers.host ?? "";
    const place = { parent: credentials, accountId, bucket: bucketName, host, now: now() };
    return readSessionToken(token, place);
  }

  /** A listing is for its prefix; a copy reads its source too. Keys of one POST are checked there. */
  function checkReach({ request, query, key, grant }: Call, method: string): void {
    if (key === "" && (method === "HEAD" || method === "POST" || query.has("location"))) return;
    const source = headerOf(request, "x-amz-copy-source");
    const action = actionOf(method, key, query, source !== "");
    checkGrant(grant, action, key === "" ? (query.get("prefix") ?? "") : key);
    if (source === "") return;
    const [, ...rest] = decode(source).replace(/^\//, "").split("/");
    checkGrant(grant, "GetObject", rest.join("/"));
  }

  function listBuckets(): Record<string, XmlValue> {
    return {
      Owner: { ID: "local", DisplayName: "local" },
      Buckets: { Bucket: [{ Name: bucketName, CreationDate: new Date(0).toISOString() }] },
    };
  }

  async function onBucket(call: Call, method: string): Promise<void> {
    const { response, query } = call;
    if (method === "HEAD") return send(response, 200);
    if (method === "PUT") {
      await drain(call.request);
      return send(response, 200, { location: `/${bucketName}` });
    }
    if (method === "POST" && query.has("delete")) return deleteMany(call);
    if (method !== "GET") throw new S3Error("MethodNotAllowed", "not on a bucket");
    if (query.has("location")) return sendXml(response, "LocationConstraint", {});
    if (query.has("uploads")) return listUploads(call);
    if (query.has("versioning")) return sendXml(response, "VersioningConfiguration", {});
    if (query.has("versions")) throw new S3Error("NotImplemented", "R2 keeps no versions");
    return sendXml(response, "ListBucketResult", listObjects(bucket, bucketName, query));
  }

  async function onObject(call: Call, method: string): Promise<void> {
    const { query, request } = call;
    if (query.has("uploadId") || query.has("uploads")) return onUpload(call, method);
    if (method === "GET" || method === "HEAD") return getObject(call, method === "HEAD");
    if (method === "DELETE") return deleteObject(call);
    if (method !== "PUT") throw new S3Error("MethodNotAllowed", "not on an object");
    return request.headers["x-amz-copy-source"] === undefined ? putObject(call) : copyObject(call);
  }

  async function getObject(call: Call, isHead: boolean): Promise<void> {
    const { request, response, key } = call;
    const meta = bucket.get(key);
    const { headers } = request;
    const headersOut = describeHeaders(meta);
    checkReadConditions(meta, headers);
    if (isUnchanged(meta, headers)) return send(response, 304, headersOut);
    const range = parseRange(headers.range, meta.size);
    const body = isHead ? undefined : await bucket.read(meta, range);
    if (body === undefined && !isHead) return getObject(call, isHead);
    const length = range === undefined ? meta.size : range.end - range.start + 1;
    response.writeHead(range === undefined ? 200 : 206, {
      ...headersOut,
      "content-length": length,
      ...(range !== undefined && {
        "content-range": `bytes ${range.start}-${range.end}/${meta.size}`,
      }),
    });
    if (body === undefined) return void response.end();
    let isDamaged = faults.chance(faults.faults.s3.damage_get);
    for await (const whole of body) {
      if (response.destroyed) return;
      const chunk = isDamaged ? damaged(whole) : whole;
      isDamaged = false;
      if (!response.write(chunk)) {
        const ready = new AbortController();
        const { signal } = ready;
        await Promise.race([
          once(response, "drain", { signal }),
          once(response, "close", { signal }),
        ])
          .catch(() => undefined)
          .finally(() => ready.abort());
      }
    }
    response.end();
  }

  async function putObject(call: Call): Promise<void> {
    const { request, response, key } = call;
    const when = conditionsOf(call);
    const about = descriptionOf(request);
    checkLength(request);
    checkWriteRate(key);
    if (bucket.find(key) !== undefined || when.ifMatch !== undefined) precheck(key, when);
    const meta = await bucket.put(key, bodyOf(call), about, when);
    options.changed({ action: "PutObject", key, size: meta.size, etag: meta.etag });
    send(response, 200, { etag: faults.etagSaid(meta.etag), ...meta.checksums });
  }

  async function copyObject(call: Call): Promise<void> {
    const { request, response, key } = call;
    const { headers } = request;
    await drain(request);
    const source = decode(headerOf(request, "x-amz-copy-source")).replace(/^\//, "");
    const [from = "", ...rest] = source.split("/");
    if (from !== bucketName) throw new S3Error("NoSuchBucket", "there is no such bucket");
    const meta = bucket.get(rest.join("/"));
    const at = (name: string): string | undefined => headers[`x-amz-copy-source-${name}`] as string;
    checkReadConditions(meta, {
      "if-match": at("if-match"),
      "if-none-match": undefined,
    });
    if (at("if-none-match") !== undefined && matches(at("if-none-match") ?? "", meta.etag)) {
      throw new S3Error("PreconditionFailed", "the source is what it was");
    }
    const when = readConditions(
      headers["cf-copy-destination-if-match"],
      headers["cf-copy-destination-if-none-match"],
    );
    checkWriteRate(key);
    const isReplaced = headers["x-amz-metadata-directive"] === "REPLACE";
    const heeded = faults.faults.s3.ignore_conditions ? {} : when;
    const copied = await bucket.copy(meta, key, isReplaced ? descriptionOf(request) : null, heeded);
    options.changed({ action: "CopyObject", key, size: copied.size, etag: copied.etag });
    sendXml(response, "CopyObjectResult", {
      ETag: `"${copied.etag}"`,
      LastModified: new Date(copied.modified).toISOString(),
    });
  }

  async function deleteObject(call: Call): Promise<void> {
    const isGone = await bucket.delete(call.key, conditionsOf(call));
    if (isGone) options.changed({ action: "DeleteObject", key: call.key });
    send(call.response, 204);
  }

  async function deleteMany(call: Call): Promise<void> {
    const { Delete: wanted } = readXml(await readText(call)) as {
      Delete?: { Object?: { Key?: unknown }[]; Quiet?: string };
    };
    const keys = (wanted?.Object ?? []).map(({ Key }) => String(Key));
    if (keys.length === 0 || keys.length > 1_000) {
      throw new S3Error("MalformedXML", "name 1 to 1,000 keys");
    }
    for (const key of keys) checkGrant(call.grant, "DeleteObjects", key);
    for (const key of keys) {
      if (await bucket.delete(key, {})) options.changed({ action: "DeleteObject", key });
    }
    const isQuiet = wanted?.Quiet === "true";
    const deleted = isQuiet ? [] : keys.map((Key) => ({ Key }));
    sendXml(call.response, "DeleteResult", { Deleted: deleted });
  }

  async function onUpload(call: Call, method: string): Promise<void> {
    const { request, response, query, key } = call;
    const id = query.get("uploadId") ?? "";
    if (method === "POST" && query.has("uploads")) {
      await drain(request);
      const uploadId = await bucket.createUpload(key, descriptionOf(request));
      return sendXml(response, "InitiateMultipartUploadResult", {
        Bucket: bucketName,
        Key: key,
        UploadId: uploadId,
      });
    }
    if (method === "PUT") {
      if (request.headers["x-amz-copy-source"] !== undefined) {
        throw new S3Error("NotImplemented", "parts are not copied here");
      }
      const number = Number(query.get("partNumber"));
      if (!Number.isInteger(number) || number < 1 || number > MAX_PARTS) {
        throw new S3Error("InvalidArgument", "a part's number is from 1 to 10,000");
      }
      checkLength(request);
      bucket.listParts(key, id);
      const part = await bucket.putPart(key, id, number, bodyOf(call));
      return send(response, 200, { etag: faults.etagSaid(part.etag) });
    }
    if (method === "GET") return sendParts(call, id);
    if (method === "DELETE") {
      await bucket.abortUpload(key, id);
      return send(response, 204);
    }
    if (method !== "POST") throw new S3Error("MethodNotAllowed", "not on an upload");
    const { CompleteMultipartUpload: wanted } = readXml(await readText(call)) as {
      CompleteMultipartUpload?: { Part?: { PartNumber?: unknown; ETag?: unknown }[] };
    };
    const parts = (wanted?.Part ?? []).map(({ PartNumber, ETag }) => ({
      number: Number(PartNumber),
      etag: unquote(String(ETag)),
    }));
    checkWriteRate(key);
    if (faults.chance(faults.faults.s3.complete_error)) {
      return sendXml(response, "Error", { Code: "InternalError", Message: "try again" });
    }
    const meta = await bucket.completeUpload(key, id, parts, conditionsOf(call));
    const change = { action: "CompleteMultipartUpload" as const, key };
    options.changed({ ...change, size: meta.size, etag: meta.etag });
    sendXml(response, "CompleteMultipartUploadResult", {
      Bucket: bucketName,
      Key: key,
      ETag: `"${meta.etag}"`,
    });
  }

  function sendParts({ response, query, key }: Call, id: string): void {
    const after = Number(query.get("part-number-marker") ?? 0);
    const max = Math.min(1_000, Number(query.get("max-parts") ?? 1_000));
    const rest = bucket.listParts(key, id).filter(({ number }) => number > after);
    const page = rest.slice(0, max);
    sendXml(response, "ListPartsResult", {
      Bucket: bucketName,
      Key: key,
      UploadId: id,
      PartNumberMarker: after,
      NextPartNumberMarker: page.at(-1)?.number ?? 0,
      MaxParts: max,
      IsTruncated: rest.length > page.length,
      Part: page.map(({ number, etag, size, modified }) => ({
        PartNumber: number,
        LastModified: new Date(modified).toISOString(),
        ETag: `"${etag}"`,
        Size: size,
      })),
    });
  }

  function listUploads({ response }: Call): void {
    sendXml(response, "ListMultipartUploadsResult", {
      Bucket: bucketName,
      IsTruncated: false,
      Upload: bucket.uploads().map(({ id, key, started }) => ({
        Key: key,
        UploadId: id,
        Initiated: new Date(started).toISOString(),
      })),
    });
  }

  function bodyOf({ request, response, signer, expectsContinue }: Call) {
    // Only now: a client that is told to go on and then refused sees a broken pipe.
    if (expectsContinue) response.writeContinue();
    return readBody(request, request.headers, signer);
  }

  async function readText(call: Call): Promise<string> {
    if (Number(call.request.headers["content-length"] ?? 0) > MAX_XML_BYTES) {
      throw new S3Error("MalformedXML", "the body is too large");
    }
    const body = bodyOf(call);
    const chunks: Uint8Array[] = [];
    for await (const chunk of body.chunks) chunks.push(chunk);
    body.digests();
    return Buffer.concat(chunks).toString("utf8");
  }

  function precheck(key: string, { ifMatch, ifNoneMatch }: Conditions): void {
    const etag = bucket.find(key)?.etag;
    const isLost =
      (ifMatch !== undefined && (etag === undefined || !matches(ifMatch, etag))) ||
      (ifNoneMatch !== undefined && etag !== undefined && matches(ifNoneMatch, etag));
    if (isLost) throw new S3Error("PreconditionFailed", "the object is another by now");
  }

  function conditionsOf({ request: { headers } }: Call): Conditions {
    if (faults.faults.s3.ignore_conditions) return {};
    return readConditions(headers["if-match"], headers["if-none-match"]);
  }

  function checkWriteRate(key: string): void {
    if (!faults.faults.s3.write_rate) return;
    const at = now();
    if (at - (lastWrite.get(key) ?? -Infinity) < WRITE_INTERVAL_MS) {
      throw new S3Error("TooManyRequests", "one write a second and key");
    }
    lastWrite.set(key, at);
  }

  return { handle };
}

async function drain(request: IncomingMessage): Promise<void> {
  for await (const _chunk of request) continue;
}

function send(
  response: ServerResponse,
  status: number,
  headers: Record<string, string | number> = {},
): void {
  response.writeHead(status, headers).end();
}

function sendXml(response: ServerResponse, name: string, value: Record<string, XmlValue>): void {
  response.writeHead(200, { "content-type": "application/xml" }).end(writeXml(name, value));
}

function sendError(request: IncomingMessage, response: ServerResponse, thrown: unknown): void {
  const error =
    thrown instanceof S3Error ? thrown : new S3Error("InternalError", "something went wrong");
  if (response.headersSent) return void response.destroy();
  // What was not read of the body would be taken for the next request.
  if (!request.complete) response.setHeader("connection", "close");
  const isBodiless = request.method === "HEAD";
  const body = isBodiless ? "" : writeXml("Error", { Code: error.code, Message: error.message });
  response.writeHead(error.status, { "content-type": "application/xml" }).end(body);
}
