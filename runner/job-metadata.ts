/**
 * What was submitted and what people want of it, read again by conditional get: at the claim, with
 * each beat, and before each paid call. A job of 10,000 items has one large record, so it is parsed
 * only when it changed.
 */
import { ClipscribeError } from "../core/errors.ts";
import type { JobId } from "../core/ids.ts";
import type { UserKeys } from "../core/keys.ts";
import { assertKnownVersion } from "../core/known-version.ts";
import { Metadata } from "../core/records.ts";
import type { Etag, ObjectStore } from "../ports/object-store.ts";

export interface JobMetadata {
  /** @throws `missing` where the job's record is gone, `contract` where it can't be read. */
  read(job: JobId, signal?: AbortSignal): Promise<Metadata>;
}

/** Jobs remembered at once; the oldest is forgotten and read again when needed. */
const MAX_REMEMBERED = 64;

export function openJobMetadata(store: ObjectStore, keys: UserKeys): JobMetadata {
  const remembered = new Map<JobId, { etag: Etag; metadata: Metadata }>();
  return {
    async read(job, signal) {
      const known = remembered.get(job);
      const key = keys.metadata(job);
      const found = await store.get(key, { ifNoneMatch: known?.etag, signal });
      if (found === undefined && known !== undefined) return known.metadata;
      const metadata = parseMetadata(key, found?.body ?? new Uint8Array());
      remembered.delete(job);
      if (found !== undefined) remembered.set(job, { etag: found.etag, metadata });
      const [oldest] = remembered.keys();
      if (remembered.size > MAX_REMEMBERED && oldest !== undefined) remembered.delete(oldest);
      return metadata;
    },
  };
}

function parseMetadata(key: string, body: Uint8Array): Metadata {
  try {
    const value: unknown = JSON.parse(Buffer.from(body).toString("utf8"));
    assertKnownVersion(value, "a job's record", key);
    return Metadata.parse(value);
  } catch (cause) {
    if (cause instanceof ClipscribeError) throw cause;
    throw new ClipscribeError("contract", "a job's record can't be read", {
      details: { key },
      hint: "restore it from a copy, or run the same files again as a new job",
      cause,
    });
  }
}
