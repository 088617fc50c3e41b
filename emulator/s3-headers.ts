/** What S3's headers say: conditions, ranges, descriptions of objects. */
import type { IncomingMessage } from "node:http";

import type { Conditions, Description, StoredMeta } from "./bucket.ts";
import { S3Error } from "./s3-error.ts";

const MAX_META_BYTES = 8192;
const MAX_PUT_BYTES = 5 * 1024 ** 3 - 5 * 1024 ** 2;
const KEPT_HEADERS = [
  "cache-control",
  "content-disposition",
  "content-encoding",
  "content-language",
];

export function readConditions(ifMatch: unknown, ifNoneMatch: unknown): Conditions {
  return {
    ...(typeof ifMatch === "string" && { ifMatch: unquote(ifMatch) }),
    ...(typeof ifNoneMatch === "string" && { ifNoneMatch: unquote(ifNoneMatch) }),
  };
}

/** Weak marks and quotes mean nothing here. */
export function unquote(etags: string): string {
  return etags.replaceAll(/W\/|"/g, "").trim();
}

export function matches(wanted: string, etag: string): boolean {
  return unquote(wanted)
    .split(/,\s*/)
    .some((each) => each === "*" || each === etag);
}

export function checkReadConditions(meta: StoredMeta, headers: IncomingMessage["headers"]): void {
  const { "if-match": ifMatch, "if-unmodified-since": since } = headers;
  if (typeof ifMatch === "string" && !matches(ifMatch, meta.etag)) {
    throw new S3Error("PreconditionFailed", "the object is another by now");
  }
  if (typeof since === "string" && ifMatch === undefined && isLater(meta, since)) {
    throw new S3Error("PreconditionFailed", "the object was changed since");
  }
}

export function isUnchanged(meta: StoredMeta, headers: IncomingMessage["headers"]): boolean {
  const { "if-none-match": ifNoneMatch, "if-modified-since": since } = headers;
  if (typeof ifNoneMatch === "string") return matches(ifNoneMatch, meta.etag);
  return typeof since === "string" && !isLater(meta, since);
}

export function isLater({ modified }: StoredMeta, since: string): boolean {
  return Math.floor(modified / 1000) * 1000 > Date.parse(since);
}

/** @throws S3Error `InvalidRange` past the end. Undefined: the whole object. */
export function parseRange(
  header: string | undefined,
  size: number,
): { start: number; end: number } | undefined {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header ?? "");
  if (match === null || (match[1] === "" && match[2] === "")) return undefined;
  const [, first = "", last = ""] = match;
  const start = first === "" ? Math.max(0, size - Number(last)) : Number(first);
  const end = first === "" || last === "" ? size - 1 : Math.min(Number(last), size - 1);
  if (start >= size || end < start) throw new S3Error("InvalidRange", "there are no such bytes");
  return { start, end };
}

export function descriptionOf({ headers }: IncomingMessage): Description {
  const kept: Record<string, string> = {};
  let bytes = 0;
  for (const [name, value] of Object.entries(headers)) {
    if (typeof value !== "string") continue;
    if (!name.startsWith("x-amz-meta-") && !KEPT_HEADERS.includes(name)) continue;
    const plain =
      name === "content-encoding" ? value.replace(/(?:^|,\s*)aws-chunked/, "").trim() : value;
    if (name.startsWith("x-amz-meta-")) bytes += name.length + value.length;
    if (plain !== "") kept[name] = plain;
  }
  if (bytes > MAX_META_BYTES) throw new S3Error("MetadataTooLarge", "at most 8,192 bytes");
  return { contentType: headers["content-type"] ?? "application/octet-stream", headers: kept };
}

export function describeHeaders(meta: StoredMeta): Record<string, string | number> {
  return {
    etag: `"${meta.etag}"`,
    "content-type": meta.contentType,
    "last-modified": new Date(meta.modified).toUTCString(),
    "accept-ranges": "bytes",
    ...meta.headers,
  };
}

export function checkLength({ headers }: IncomingMessage): void {
  const length = headers["x-amz-decoded-content-length"] ?? headers["content-length"];
  if (Number(length ?? 0) > MAX_PUT_BYTES) {
    throw new S3Error("EntityTooLarge", "send it in parts");
  }
}

export function headerOf({ headers }: IncomingMessage, name: string): string {
  const value = headers[name];
  return typeof value === "string" ? value : "";
}
