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

  const page = scanPage(bucket, { prefix, delimiter, max, after });
  const { contents, prefixes, last, isTruncated } = page;
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

interface Page {
  contents: StoredMeta[];
  prefixes: string[];
  /** The last key, or common prefix, that the page tells. */
  last: string;
  isTruncated: boolean;
}

function scanPage(
  bucket: Bucket,
  wanted: { prefix: string; delimiter: string; max: number; after: string },
): Page {
  const { prefix, delimiter, max, after } = wanted;
  const page: Page = { contents: [], prefixes: [], last: after, isTruncated: false };
  let skipTo = after;
  for (;;) {
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
      if (page.contents.length + page.prefixes.length >= max) {
        return { ...page, isTruncated: max > 0 };
      }
      if (common === null) {
        page.contents.push(meta);
        page.last = meta.key;
        continue;
      }
      page.prefixes.push(common);
      page.last = common;
      skipTo = common + LAST;
      jumped = true;
      break;
    }
    if (!jumped) return page;
  }
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
