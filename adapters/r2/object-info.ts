/** Keys, etags and descriptions as S3 says them, and as the port does. */
import { ClipscribeError } from "../../core/errors.ts";
import { parseObjectKey } from "../../core/keys.ts";
import type { ObjectKey } from "../../core/keys.ts";
import type { Etag, GetOptions, ObjectInfo, PutOptions } from "../../ports/object-store.ts";

type Conditions = Pick<PutOptions, "ifMatch"> & Pick<GetOptions, "ifNoneMatch" | "range">;

/** From the listing's URL encoding; undefined for what another tool wrote and no key can be. */
export function usableKey(encoded: string): ObjectKey | undefined {
  try {
    return parseObjectKey(decodeURIComponent(encoded.replaceAll("+", "%20")));
  } catch {
    return undefined;
  }
}

export function infoOf(
  key: ObjectKey,
  answer: { ETag?: string | undefined; LastModified?: Date | undefined },
  sizeBytes: number,
): ObjectInfo {
  if (answer.ETag === undefined) {
    throw new ClipscribeError("transient", "what answered is no bucket", {
      details: { key },
      hint: "look whether a portal or proxy stands between this machine and R2_ENDPOINT",
    });
  }
  return {
    key,
    etag: etagOf(answer.ETag),
    sizeBytes,
    modifiedAt: answer.LastModified ?? new Date(0),
  };
}

export function etagOf(etag: string | undefined): Etag {
  return (etag ?? "").replaceAll('"', "") as Etag;
}

/** Of an object that was put whole or in parts, in any S3. */
export function isBucketEtag(etag: string | undefined): boolean {
  return /^"?[0-9a-f]{32}(?:-\d{1,5})?"?$/.test(etag ?? "");
}

export function quote(etag: Etag): string {
  return `"${etag}"`;
}

/** What a request asks of the object that is there: null, that there is none. */
export function conditionsOf({ ifMatch, ifNoneMatch, range }: Conditions): Record<string, string> {
  const headers: Record<string, string> = {};
  if (range !== undefined) headers["range"] = `bytes=${range.start}-${range.end ?? ""}`;
  if (ifMatch === null) headers["if-none-match"] = "*";
  else if (ifMatch !== undefined) headers["if-match"] = quote(ifMatch);
  if (ifNoneMatch !== undefined) headers["if-none-match"] = quote(ifNoneMatch);
  return headers;
}
