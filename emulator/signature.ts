/**
 * AWS Signature Version 4: headers, presigned URLs, and the signatures of chunks.
 * docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html
 */
import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";

import { S3Error } from "./s3-error.ts";

export interface Credentials {
  accessKeyId: string;
  secretAccessKey: string;
}

export interface SignedRequest {
  method: string;
  /** As it was sent: path and query. */
  url: string;
  headers: IncomingHttpHeaders;
}

/** What the chunks of a streamed body are signed with. */
export interface Signer {
  /** `x-amz-content-sha256`, or `UNSIGNED-PAYLOAD`. */
  payload: string;
  signature: string;
  sign(parts: readonly string[]): string;
}

const ALGORITHM = "AWS4-HMAC-SHA256";
const MAX_SKEW_MS = 15 * 60 * 1000;
/** A week: the longest that a presigned URL lives. */
const MAX_EXPIRES_S = 7 * 24 * 3600;

/** @throws S3Error where the request is not signed by these credentials, or not now. */
export function authenticate(
  request: SignedRequest,
  { accessKeyId, secretAccessKey }: Credentials,
  now: number,
): Signer {
  const { path, query } = splitUrl(request.url);
  const isPresigned = query.some(([name]) => name === "X-Amz-Signature");
  const claim = isPresigned ? readPresigned(query) : readHeader(request.headers);
  if (claim.accessKeyId !== accessKeyId) {
    throw new S3Error("InvalidAccessKeyId", "the access key is not known");
  }
  checkTime(claim, now);
  const payload = isPresigned ? "UNSIGNED-PAYLOAD" : headerOf(request, "x-amz-content-sha256");
  const canonical = [
    request.method,
    encodePath(path),
    encodeQuery(query.filter(([name]) => name !== "X-Amz-Signature")),
    ...claim.signedHeaders.map((name) => `${name}:${trim(headerOf(request, name))}`),
    "",
    claim.signedHeaders.join(";"),
    payload,
  ].join("\n");
  const key = signingKey(secretAccessKey, claim.scope);
  const sign = (parts: readonly string[]): string =>
    hmac(key, [parts[0], claim.date, claim.scope, ...parts.slice(1)].join("\n")).toString("hex");
  const signature = sign([ALGORITHM, sha256(canonical)]);
  if (!isSame(signature, claim.signature)) {
    throw new S3Error("SignatureDoesNotMatch", "the signature is not that of this request");
  }
  return { payload, signature, sign };
}

export function sha256(data: string | Uint8Array): string {
  return createHash("sha256").update(data).digest("hex");
}

export function isSame(a: string, b: string): boolean {
  return a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b));
}

interface Claim {
  accessKeyId: string;
  scope: string;
  date: string;
  signedHeaders: string[];
  signature: string;
  expiresSeconds: number | null;
}

function readHeader(headers: IncomingHttpHeaders): Claim {
  const match =
    /^AWS4-HMAC-SHA256 Credential=([^/,]+)\/([^,]+),\s*SignedHeaders=([^,]+),\s*Signature=([0-9a-f]{64})$/.exec(
      headers.authorization ?? "",
    );
  if (match === null) throw new S3Error("AccessDenied", "the request is not signed");
  const [, accessKeyId = "", scope = "", names = "", signature = ""] = match;
  const date = headers["x-amz-date"];
  if (typeof date !== "string") throw new S3Error("AccessDenied", "x-amz-date is missing");
  return {
    accessKeyId,
    scope,
    date,
    signedHeaders: names.split(";"),
    signature,
    expiresSeconds: null,
  };
}

function readPresigned(query: readonly (readonly [string, string])[]): Claim {
  const get = (name: string): string => query.find(([each]) => each === name)?.[1] ?? "";
  const [accessKeyId = "", ...scope] = get("X-Amz-Credential").split("/");
  const expiresSeconds = Number(get("X-Amz-Expires"));
  if (!(expiresSeconds > 0 && expiresSeconds <= MAX_EXPIRES_S)) {
    throw new S3Error("AccessDenied", "X-Amz-Expires is not a time that is allowed");
  }
  return {
    accessKeyId,
    scope: scope.join("/"),
    date: get("X-Amz-Date"),
    signedHeaders: get("X-Amz-SignedHeaders").split(";"),
    signature: get("X-Amz-Signature"),
    expiresSeconds,
  };
}

function checkTime({ date, expiresSeconds }: Claim, now: number): void {
  const at = Date.parse(
    date.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, "$1-$2-$3T$4:$5:$6Z"),
  );
  const ageMs = now - at;
  if (Number.isNaN(at) || ageMs < -MAX_SKEW_MS) {
    throw new S3Error("RequestTimeTooSkewed", "the clocks are too far apart");
  }
  if (expiresSeconds !== null) {
    if (ageMs > expiresSeconds * 1000) throw new S3Error("AccessDenied", "the URL has expired");
  } else if (ageMs > MAX_SKEW_MS) {
    throw new S3Error("RequestTimeTooSkewed", "the clocks are too far apart");
  }
}

function signingKey(secret: string, scope: string): Buffer {
  const [day = "", region = "", service = ""] = scope.split("/");
  const dated = hmac(hmac(hmac(`AWS4${secret}`, day), region), service);
  return hmac(dated, "aws4_request");
}

function hmac(key: string | Buffer, data: string): Buffer {
  return createHmac("sha256", key).update(data).digest();
}

export function splitUrl(url: string): { path: string; query: [name: string, value: string][] } {
  const at = url.indexOf("?");
  const path = at === -1 ? url : url.slice(0, at);
  const text = at === -1 ? "" : url.slice(at + 1);
  const query = text
    .split("&")
    .filter((each) => each !== "")
    .map((each): [string, string] => {
      const [name = "", ...value] = each.split("=");
      return [decode(name), decode(value.join("="))];
    });
  return { path, query };
}

/** A plus is a plus here: S3 encodes a space as %20. */
export function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new S3Error("InvalidArgument", "the address is not percent-encoded UTF-8");
  }
}

function encode(text: string): string {
  return encodeURIComponent(text).replaceAll(
    /[!'()*]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function encodePath(path: string): string {
  return path
    .split("/")
    .map((segment) => encode(decode(segment)))
    .join("/");
}

function encodeQuery(query: readonly (readonly [string, string])[]): string {
  const pairs = query.map(([name, value]): [string, string] => [encode(name), encode(value)]);
  return pairs
    .toSorted(([a, x], [b, y]) => (a < b ? -1 : a > b ? 1 : x < y ? -1 : x > y ? 1 : 0))
    .map(([name, value]) => `${name}=${value}`)
    .join("&");
}

function headerOf({ headers }: SignedRequest, name: string): string {
  const value = headers[name];
  return Array.isArray(value) ? value.join(",") : (value ?? "");
}

function trim(value: string): string {
  return value.trim().replaceAll(/ +/g, " ");
}
