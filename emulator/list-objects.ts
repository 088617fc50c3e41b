/** ListObjects in both versions: prefix, delimiter, pages, in UTF-8 order. */
import type { Bucket, StoredMeta } from "./bucket.ts";
import { S3Error } from "./s3-error.ts";
import type { XmlValue } from "./xml.ts";

const MAX_KEYS = 1_000;
/** After every key that begins so: U+10FFFF is the last that UTF-8 can say. */
const LAST = "\u{10FFFF}";

export function listObjects(
  bucket: Bucket,
  name: string,
  query: ReadonlyMap<string, string>,
): Record<string, XmlValue> {
  const isV2 = query.get("list-type") === "2";
  const prefix = query.get("prefix") ?? "";
  const delimiter = query.get("delimiter") ?? "";
  const max = Math.min(MAX_KEYS, parseMax(query.get("max-keys")));
  const token = query.get("continuation-token");
  const after =
    token === undefined ? (query.get(isV2 ? "start-after" : "marker") ?? "") : readToken(token);
  const encode = query.get("encoding-type") === "url" ? encodeKey : (key: string) => key;

  const contents: StoredMeta[] = [];
  const prefixes: string[] = [];
  let last = after;
  let isTruncated = false;
  let skipTo = after;
  scan: for (;;) {
    let jumped = false;
    for (const meta of bucket.list(prefix, skipTo)) {
      const rest = meta.key.slice(prefix.length);
      const cut = delimiter === "" ? -1 : rest.indexOf(delimiter);
      const common = cut === -1 ? null : prefix + rest.slice(0, cut + delimiter.length);
      if (common !== null && common === after && skipTo === after) {
        // The page before ended with this prefix: all of it is told.
        skipTo = common + LAST;
        jumped = true;
        break;
      }
      if (contents.length + prefixes.length >= max) {
        isTruncated = max > 0;
        break scan;
      }
      if (common === null) {
        contents.push(meta);
        last = meta.key;
        continue;
      }
      prefixes.push(common);
      last = common;
      skipTo = common + LAST;
      jumped = true;
      break;
    }
    if (!jumped) break;
  }

  const shared = {
    Name: name,
    Prefix: encode(prefix),
    MaxKeys: max,
    IsTruncated: isTruncated,
    Delimiter: delimiter === "" ? null : encode(delimiter),
    EncodingType: query.get("encoding-type") ?? null,
    Contents: contents.map(({ key, etag, size, modified }) => ({
      Key: encode(key),
      LastModified: new Date(modified).toISOString(),
      ETag: `"${etag}"`,
      Size: size,
      StorageClass: "STANDARD",
    })),
    CommonPrefixes: prefixes.map((each) => ({ Prefix: encode(each) })),
  };
  if (!isV2) {
    return {
      ...shared,
      Marker: encode(query.get("marker") ?? ""),
      NextMarker: isTruncated ? encode(last) : null,
    };
  }
  return {
    ...shared,
    KeyCount: contents.length + prefixes.length,
    StartAfter: query.has("start-after") ? encode(query.get("start-after") ?? "") : null,
    ContinuationToken: token ?? null,
    NextContinuationToken: isTruncated ? Buffer.from(last).toString("base64url") : null,
  };
}

function parseMax(text: string | undefined): number {
  if (text === undefined) return MAX_KEYS;
  const max = Number(text);
  if (Number.isInteger(max) && max >= 0) return max;
  throw new S3Error("InvalidArgument", "max-keys is a whole number");
}

function readToken(token: string): string {
  return Buffer.from(token, "base64url").toString("utf8");
}

function encodeKey(key: string): string {
  return encodeURIComponent(key).replaceAll("%2F", "/");
}
