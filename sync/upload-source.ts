/**
 * Brings a file into the bucket under a name that says its content, and so once.
 *
 *   there, and young enough ──────────────────────────────────────────────► kept
 *   small ─► read ─► hash = what was meant? ─► put; its etag = that of the bytes? ─► sent
 *   large ─► parts (upload-parts.ts) ─────────────────────────────────────► sent
 *
 * 1. It is compared again as it is sent, by hashes: what is not the file that was meant never gets its name.
 * 2. It counts as sent when the store's etag and size are those of the bytes that left.
 * 3. An upload in parts is noted before its first part. Whatever ends this process, the next call
 *    goes on, with those parts that the store has and that are still those of the file.
 *
 * `transient` means: call again, later. After `contract` or `missing`, look at the file again.
 */
import { hash } from "node:crypto";

import { ClipscribeError, isKind } from "../core/errors.ts";
import type { ObjectKey } from "../core/keys.ts";
import type { Source } from "../core/records.ts";
import type { Retention } from "../core/retention.ts";
import type { Etag, ObjectStore } from "../ports/object-store.ts";
import { isReusable } from "./is-reusable.ts";
import { changed, openSourceFile, readSourceFile } from "./open-source-file.ts";
import { isSentWhole } from "./plan-parts.ts";
import { uploadParts } from "./upload-parts.ts";
import { countProgress } from "./upload-progress.ts";
import type { ProgressCount, UploadProgress } from "./upload-progress.ts";
import type { Uploads } from "./uploads.ts";
import { withdraw } from "./withdraw.ts";

/** Read while everything else waits: a millisecond. */
const SMALL_BYTES = 1024 * 1024;

export interface UploadOptions {
  /** Absolute. */
  path: string;
  source: Pick<Source, "sha256" | "size" | "filename" | "media_type">;
  uploads: Uploads;
  /** The bucket's, where the pipeline says. */
  retention?: Retention | undefined;
  /** Aborted: what has arrived stays, and the next call goes on with it. */
  signal: AbortSignal;
  /** Called for every piece: some thousand times a gigabyte. */
  onProgress?: ((progress: UploadProgress) => void) | undefined;
}

export interface Uploaded {
  /** `kept`: these bytes were there already, and stay for long enough. */
  how: "sent" | "kept";
  /** Bytes that left this machine, repeated ones included. */
  sentBytes: number;
}

/**
 * @throws `contract` where the file is not, or no longer, the one that was meant; `missing` where it
 *   is gone; `transient` and `denied` as disk and store say. Nothing torn is ever visible.
 */
export async function uploadSource(
  store: ObjectStore,
  key: ObjectKey,
  options: UploadOptions,
): Promise<Uploaded> {
  const { uploads, source, onProgress } = options;
  const { underWay, pace, partBytes } = uploads;
  for (;;) {
    // The same bytes under two names: one goes, the other waits for it.
    const other = underWay.get(key);
    if (other === undefined) break;
    if (await hasArrived(other, options.signal)) return { how: "kept", sentBytes: 0 };
  }
  const count = countProgress(source.size, pace, onProgress);
  const upload = isSentWhole(source.size, partBytes) ? uploadWhole : uploadParts;
  const work = upload(store, key, options, count);
  underWay.set(key, work);
  try {
    return { how: await work, sentBytes: count.sentBytes };
  } finally {
    underWay.delete(key);
  }
}

/** A small file: one request, without asking first whether it is there. */
async function uploadWhole(
  store: ObjectStore,
  key: ObjectKey,
  { path, source, uploads, retention, signal }: UploadOptions,
  count: ProgressCount,
): Promise<Uploaded["how"]> {
  using place = await uploads.room.enter(source.size, source.size, signal);
  const body = place.buffer;
  await readWhole(path, body, source);
  const digests = { md5: hash("md5", body, "hex"), sha256: hash("sha256", body, "hex") };
  if (digests.sha256 !== source.sha256) throw changed(source);
  const { media_type: contentType } = source;
  const progress = count.openPart(source.size, signal);
  const { beforeBytes } = progress;
  const put = async (ifMatch: Etag | null): Promise<Etag> =>
    store.put(key, body, { ifMatch, contentType, digests, signal, beforeBytes });
  let etag: Etag;
  try {
    etag = await put(null);
  } catch (error) {
    if (!isKind(error, "conflict")) throw error;
    const there = await store.head(key, { signal });
    if (isReusable(key, there, source.size, uploads.clock.now(), retention)) return "kept";
    etag = await put(there?.etag ?? null);
  }
  if (store.etags === "md5" && etag !== digests.md5) throw await withdraw(store, key, etag);
  progress.arrived();
  return "sent";
}

async function readWhole(
  path: string,
  body: Uint8Array,
  source: UploadOptions["source"],
): Promise<void> {
  if (body.length <= SMALL_BYTES) return readSourceFile(path, body, source);
  await using file = await openSourceFile(path, source);
  await file.read(body, 0);
  await file.assertSame();
}

async function hasArrived(work: Promise<unknown>, signal: AbortSignal): Promise<boolean> {
  const { promise, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => {
    reject(new ClipscribeError("cancelled", "the work was interrupted", { cause: signal.reason }));
  };
  if (signal.aborted) onAbort();
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    const settled = work.then(
      () => true,
      () => false,
    );
    return await Promise.race([settled, promise]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
