/** Keys, etags and descriptions as S3 says them, and as the port does. */
import { ClipscribeError } from "../../core/errors.ts";
import { parseObjectKey } from "../../core/keys.ts";
import type { ObjectKey } from "../../core/keys.ts";
import type { Etag, ObjectInfo } from "../../ports/object-store.ts";

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

export function quote(etag: Etag): string {
  return `"${etag}"`;
}
