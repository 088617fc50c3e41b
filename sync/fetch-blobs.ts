/**
 * Published bytes on their way from the bucket: compared with their SHA-256, read once more where they
 * differ, and gone on with where a file was left half written. Blobs are deleted 90 days after their last
 * use, published files are not: where a blob is gone, its copy under `results/` is as good, if it is whole.
 */
import { createHash } from "node:crypto";
import { createReadStream, rmSync, statSync } from "node:fs";
import { open } from "node:fs/promises";

import { sha256Of } from "../core/digest.ts";
import { ClipscribeError, isKind } from "../core/errors.ts";
import type { Sha256, UserId } from "../core/ids.ts";
import { keysOf } from "../core/keys.ts";
import type { ObjectKey } from "../core/keys.ts";
import type { Etag, ObjectStore } from "../ports/object-store.ts";
import { writeFlushed } from "./write-flushed.ts";

/** The way may have damaged it once; twice the same, and the store has. */
const TRIES = 2;
/** Up to this size a blob is one read and one write; above, it is streamed, and gone on with. */
const WHOLE_BYTES = 256 * 1024;
/** Chunks come in 64 KiB: as many as this are written at once. */
const WRITE_BYTES = 1024 * 1024;

export interface Blobs {
  store: ObjectStore;
  user: UserId;
  signal?: AbortSignal | undefined;
  /** Where copies were published, by their SHA-256. */
  copies?: ReadonlyMap<Sha256, ObjectKey>;
}

/**
 * Reads no more than `size` says, and a byte.
 *
 * @throws `missing`; `contract` where the store's copy is damaged: it is deleted, to be made anew.
 */
export async function readBlob(blobs: Blobs, sha256: Sha256, size = 0): Promise<Uint8Array> {
  const { store, signal } = blobs;
  const range = size > 0 ? { start: 0, end: size } : undefined;
  return blobOrCopy(blobs, sha256, async (key) => {
    for (let attempt = 1; ; attempt++) {
      const { body, etag } = await store.get(key, { range, signal });
      if (sha256Of(body) === sha256) return body;
      if (attempt === TRIES) throw await damaged(blobs, sha256, etag);
    }
  });
}

/** Reads the blob or, where it is gone, its published copy. A copy that is no longer one is nothing. */
async function blobOrCopy<Value>(
  { user, copies }: Blobs,
  sha256: Sha256,
  read: (key: ObjectKey) => Promise<Value>,
): Promise<Value> {
  try {
    return await read(keysOf(user).blob(sha256));
  } catch (error) {
    const copy = copies?.get(sha256);
    if (copy === undefined || !isKind(error, "missing")) throw error;
    return read(copy).catch((trouble: unknown) => {
      throw isKind(trouble, "missing", "contract") ? error : trouble;
    });
  }
}

/** Writes a blob to a file, flushed. What a file that may be there holds of it is not read again. */
export async function fetchBlob(
  blobs: Blobs,
  blob: { sha256: Sha256; size: number },
  path: string,
  isNew: boolean,
): Promise<void> {
  if (!isNew && (await hasRest(blobs, blob, path))) return;
  if (blob.size <= WHOLE_BYTES) {
    return writeFlushed(path, await readBlob(blobs, blob.sha256, blob.size));
  }
  return blobOrCopy(blobs, blob.sha256, async (key) => {
    for (let attempt = 1; ; attempt++) {
      const read = await writeFrom(blobs, { key, size: blob.size }, path, 0);
      if (read.sha256 === blob.sha256) return;
      rmSync(path);
      if (attempt === TRIES) throw await damaged(blobs, blob.sha256, read.etag);
    }
  });
}

/** Completes what an earlier try has left; what does not fit together is begun anew. */
async function hasRest(
  blobs: Blobs,
  blob: { sha256: Sha256; size: number },
  path: string,
): Promise<boolean> {
  const there = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  if (there === 0 || there > blob.size) return false;
  const { sha256, size } = blob;
  if (there < size) {
    await blobOrCopy(blobs, sha256, async (key) => writeFrom(blobs, { key, size }, path, there));
  }
  return (await sha256OfFile(path)) === sha256;
}

/** Returns the hash of what was read. */
async function writeFrom(
  { store, signal }: Blobs,
  { key, size }: { key: ObjectKey; size: number },
  path: string,
  start: number,
): Promise<{ etag: Etag; sha256: string }> {
  const range = start === 0 ? {} : { range: { start } };
  const { body, etag } = await store.getStream(key, { ...range, signal });
  const hash = createHash("sha256");
  await using file = await open(path, start === 0 ? "w" : "a", 0o644);
  let taken = start;
  let gathered: Uint8Array[] = [];
  let gatheredBytes = 0;
  const write = async (): Promise<void> => {
    if (gatheredBytes > 0) await file.writev(gathered);
    gathered = [];
    gatheredBytes = 0;
  };
  try {
    for await (const chunk of body) {
      taken += chunk.length;
      // A body without an end must not fill the disk.
      if (taken > size) break;
      hash.update(chunk);
      gathered.push(chunk);
      gatheredBytes += chunk.length;
      if (gatheredBytes >= WRITE_BYTES) await write();
    }
  } finally {
    // What came before the line was cut is of use to the next try.
    await write();
  }
  await file.sync();
  return { etag, sha256: taken > size ? "" : hash.digest("hex") };
}

export async function sha256OfFile(path: string): Promise<Sha256> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path, { highWaterMark: 1024 * 1024 })) {
    hash.update(chunk as Uint8Array);
  }
  return hash.digest("hex") as Sha256;
}

/** Nobody may trust it again: what names it is made anew. Returns the error to throw. */
async function damaged(
  { store, user, signal }: Blobs,
  sha256: Sha256,
  etag: Etag,
): Promise<ClipscribeError> {
  try {
    await store.delete(keysOf(user).blob(sha256), { ifMatch: etag, signal });
  } catch (error) {
    // Another has repaired it meanwhile, or this computer may only read.
    if (!isKind(error, "conflict", "denied")) throw error;
  }
  return new ClipscribeError("contract", "a published file is damaged in the store", {
    details: { sha256 },
    hint: "run again: it is made anew",
  });
}
