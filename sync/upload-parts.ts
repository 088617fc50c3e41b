/**
 * A large file's way into the bucket, part by part. What is sent is compared with what was hashed before:
 * by the bucket, where the first reading kept the MD5 of each part (hash-parts.ts) and etags are MD5s;
 * else here, where each part is hashed again, by itself and into the hash of the whole.
 *
 *   resume or begin ─► [there already, and as it was meant? | read ─► hash, if it must be ─► send;
 *   its etag = that MD5? ─► note]… ─► whole hash = what was meant, if it was computed; still the same
 *   file? ─► Complete ─► etag and size as computed?
 *
 * Either way, no byte gets the name that is not of the content that the name says.
 */
import { createHash, hash } from "node:crypto";

import { ClipscribeError, isKind } from "../core/errors.ts";
import type { ObjectKey } from "../core/keys.ts";
import { createSlots } from "../core/slots.ts";
import type { Etag, ObjectInfo, ObjectStore, UploadPart } from "../ports/object-store.ts";
import type { FinishedPart, UnfinishedUpload } from "../ports/upload-book.ts";
import { PARTS_HASHED_AT_ONCE } from "./hash-parts.ts";
import { isReusable } from "./is-reusable.ts";
import { changed, openSourceFile } from "./open-source-file.ts";
import { cut, planParts } from "./plan-parts.ts";
import type { PartPlan } from "./plan-parts.ts";
import { eachPart } from "./read-parts.ts";
import type { ProgressCount } from "./upload-progress.ts";
import type { UploadOptions, Uploaded } from "./upload-source.ts";
import { withdraw } from "./withdraw.ts";

/** R2 forgets an upload after 7 days: one that old is not begun upon again. */
export const MAX_UPLOAD_AGE_MS = 6 * 24 * 60 * 60 * 1000;
/** An upload that vanished (another process ended it, the bucket forgot it) is begun anew. */
const MAX_BEGINNINGS = 3;
/** Parts of one upload on their way: R2 has answered 500 to more. */
const PARTS_AT_ONCE = 4;
/** Beside those on their way, where nothing is hashed. */
const PARTS_READ_AHEAD = 2;
const MD5 = /^[0-9a-f]{32}$/;
const COMPLETE_TRIES = 4;
const COMPLETE_WAIT_MS = 1_000;

interface Upload extends UnfinishedUpload {
  /** What the store has of it, and what we noted. */
  arrived: ReadonlyMap<number, UploadPart>;
  noted: ReadonlyMap<number, FinishedPart>;
  /** The store does not know it any more. */
  isGone: boolean;
  /** Its parts' etags are no MD5s, whatever was said of the store: they say nothing of what was stored. */
  isOpaque: boolean;
}

const FRESH = { isGone: false, isOpaque: false };

interface Way extends UploadOptions {
  store: ObjectStore;
  key: ObjectKey;
  count: ProgressCount;
}

export async function uploadParts(
  store: ObjectStore,
  key: ObjectKey,
  options: UploadOptions,
  count: ProgressCount,
): Promise<Uploaded["how"]> {
  let way: Way = { ...options, store, key, count };
  const { book, clock } = options.uploads;
  for (let beginning = 1; ; beginning++) {
    const there = await store.head(key, { signal: options.signal });
    if (isReusable(key, there, options.source.size, clock.now(), options.retention)) {
      const unneeded = book.find(key);
      if (unneeded !== undefined) await giveUp(way, unneeded);
      return "kept";
    }
    const upload = (await resume(way)) ?? (await begin(way));
    try {
      const parts = await sendParts(way, upload);
      await complete(way, upload, parts, there);
      book.end(upload.uploadId);
      return "sent";
    } catch (error) {
      if (upload.isOpaque && way.store.etags !== "opaque") {
        // Goes on with the parts that are there, and hashes what it sends.
        way = { ...way, store: { ...store, etags: "opaque" } };
        continue;
      }
      if (upload.isGone && beginning < MAX_BEGINNINGS) {
        book.end(upload.uploadId);
        continue;
      }
      // The same file comes again after trouble on the way; after a change, it never does.
      if (isKind(error, "contract", "missing")) await giveUp(way, upload);
      throw error;
    }
  }
}

async function giveUp({ store, uploads, key }: Way, { uploadId }: UnfinishedUpload): Promise<void> {
  try {
    await store.abortUpload(key, uploadId);
    uploads.book.end(uploadId);
  } catch (error) {
    // It stays in the book, and is aborted with what else is left over.
    if (!isKind(error, "transient", "denied")) throw error;
  }
}

async function resume({ store, key, source, uploads, signal }: Way): Promise<Upload | undefined> {
  const { book, clock } = uploads;
  const found = book.find(key);
  if (found === undefined) return undefined;
  const isOld = clock.now().getTime() - found.startedAt.getTime() > MAX_UPLOAD_AGE_MS;
  const isOther = found.sha256 !== source.sha256 || found.sizeBytes !== source.size;
  if (isOld || isOther) {
    await store.abortUpload(key, found.uploadId, { signal });
    book.end(found.uploadId);
    return undefined;
  }
  try {
    const listed = await store.listParts(key, found.uploadId, { signal });
    const noted = book.parts(found.uploadId);
    return { ...found, arrived: byNumber(listed), noted: byNumber(noted), ...FRESH };
  } catch (error) {
    if (!isKind(error, "missing")) throw error;
    book.end(found.uploadId);
    return undefined;
  }
}

async function begin({ store, key, source, path, uploads, signal }: Way): Promise<Upload> {
  const { book, clock } = uploads;
  const { media_type: contentType, sha256, size: sizeBytes } = source;
  const uploadId = await store.createUpload(key, { contentType, signal });
  const { partBytes } = planParts(sizeBytes, uploads.partBytes);
  const upload = { key, uploadId, sha256, sizeBytes, partBytes, path, startedAt: clock.now() };
  book.begin(upload);
  return { ...upload, arrived: new Map(), noted: new Map(), ...FRESH };
}

/** Once it returns, all parts are in the store, and they are of the file that was meant. */
async function sendParts(way: Way, upload: Upload): Promise<UploadPart[]> {
  const { source, uploads, store } = way;
  const plan = cut(source.size, upload.partBytes);
  const known = findDigests(way, plan);
  const parts: UploadPart[] = [];
  const digester = known === undefined ? uploads.openDigester(store.partDigest) : undefined;
  const line = createSlots(() => PARTS_AT_ONCE);
  await using file = await openSourceFile(way.path, source);
  try {
    await eachPart({
      plan,
      sizeBytes: source.size,
      room: uploads.room,
      ahead: known === undefined ? PARTS_HASHED_AT_ONCE : PARTS_AT_ONCE + PARTS_READ_AHEAD,
      signal: way.signal,
      isNeeded: (number) => known === undefined || !isThere(way, upload, number, known, parts),
      async read(buffer, start) {
        await file.read(buffer, start);
        await file.assertSame();
      },
      async work(number, body, signal) {
        // Asked for before the next part is read: the whole is hashed in the order of its parts.
        const digest = await digestOf(number, body);
        using _slot = await line.acquire(signal);
        const part = { number, body, digest, isKnown: known !== undefined };
        parts[number - 1] = await sendPart({ ...way, signal }, upload, part);
      },
    });
    if (digester !== undefined && (await digester.finish()) !== source.sha256) {
      throw changed(source);
    }
    await file.assertSame();
    return parts;
  } finally {
    digester?.drop();
  }

  async function digestOf(number: number, body: Uint8Array): Promise<string> {
    return digester?.add(body) ?? known?.[number - 1] ?? "";
  }
}

/** Of the first reading: the store itself compares what arrives with them. */
function findDigests(
  { store, source, uploads }: Way,
  { partBytes, count }: PartPlan,
): readonly string[] | undefined {
  if (store.etags !== "md5") return undefined;
  const found = uploads.book.findDigests(source.sha256, partBytes);
  return found?.length === count ? found : undefined;
}

/** It arrived before, and has the bytes that were meant: it need not be read again. */
function isThere(
  { count, signal, source }: Way,
  { arrived, partBytes }: Upload,
  number: number,
  known: readonly string[],
  parts: UploadPart[],
): boolean {
  const there = arrived.get(number);
  const sizeBytes = Math.min(partBytes, source.size - (number - 1) * partBytes);
  if (there?.etag !== known[number - 1] || there?.sizeBytes !== sizeBytes) return false;
  count.openPart(sizeBytes, signal).arrived();
  parts[number - 1] = there;
  return true;
}

interface PartToSend {
  number: number;
  body: Uint8Array;
  digest: string;
  /** The digest is that of the first reading, not of this body. */
  isKnown: boolean;
}

async function sendPart(
  { store, key, source, uploads, signal, count }: Way,
  upload: Upload,
  { number: partNumber, body, digest, isKnown }: PartToSend,
): Promise<UploadPart> {
  const progress = count.openPart(body.length, signal);
  const there = upload.arrived.get(partNumber);
  if (there !== undefined && isThatPart(there, upload, body, digest, store.etags)) {
    progress.arrived();
    return there;
  }
  try {
    const { beforeBytes } = progress;
    const digests = { [store.partDigest]: digest };
    const options = { digests, signal, beforeBytes };
    const part = await store.putPart(key, upload.uploadId, partNumber, body, options);
    if (store.etags === "md5" && part.etag !== digest) {
      upload.isOpaque = !MD5.test(part.etag);
      throw new ClipscribeError("transient", "the bucket did not store what was sent", {
        details: { key, part: partNumber },
        hint: "it is sent again; if this comes back, something on the way changes data",
      });
    }
    uploads.book.addPart(upload.uploadId, { ...part, digest });
    progress.arrived();
    return part;
  } catch (error) {
    progress.failed();
    // Refused, or stored as something else: because of the way, or because the file has changed?
    if (isKnown && hash("md5", body, "hex") !== digest) throw changed(source);
    upload.isGone ||= isKind(error, "missing");
    throw error;
  }
}

/** It arrived before, and holds the bytes that the file has there today. */
function isThatPart(
  { partNumber, etag, sizeBytes }: UploadPart,
  { noted }: Upload,
  body: Uint8Array,
  digest: string,
  etags: ObjectStore["etags"],
): boolean {
  if (sizeBytes !== body.length) return false;
  if (etags === "md5") return etag === digest;
  const note = noted.get(partNumber);
  return note?.etag === etag && note.digest === digest;
}

/** Makes the object visible; an answer that is lost is looked for. */
async function complete(
  { store, key, source, uploads, retention, signal }: Way,
  upload: Upload,
  parts: readonly UploadPart[],
  before: ObjectInfo | undefined,
): Promise<void> {
  const expected = store.etags === "md5" ? etagOfParts(parts) : undefined;
  const isIt = (found: ObjectInfo | undefined): boolean =>
    found !== undefined &&
    found.etag !== before?.etag &&
    found.sizeBytes === source.size &&
    found.etag === (expected ?? found.etag);
  for (let attempt = 1; ; attempt++) {
    try {
      const ifMatch = before?.etag ?? null;
      await store.completeUpload(key, upload.uploadId, parts, { ifMatch, signal });
      const found = await store.head(key, { signal });
      if (isIt(found)) return;
      throw found === undefined ? vanished(key) : await withdraw(store, key, found.etag);
    } catch (error) {
      if (!isKind(error, "transient", "missing", "conflict")) throw error;
      const found = await store.head(key, { signal });
      if (isIt(found)) return;
      // Others have put the same content there, in parts of another size.
      const now = uploads.clock.now();
      if (isKind(error, "conflict") && isReusable(key, found, source.size, now, retention)) {
        await store.abortUpload(key, upload.uploadId, { signal });
        return;
      }
      upload.isGone ||= isKind(error, "missing");
      if (upload.isGone || isKind(error, "conflict") || attempt === COMPLETE_TRIES) throw error;
      await uploads.clock.sleep(COMPLETE_WAIT_MS * attempt, signal);
    }
  }
}

/** R2, S3: the MD5 of the parts' MD5s, and how many they are. */
function etagOfParts(parts: readonly UploadPart[]): Etag {
  const md5 = createHash("md5");
  for (const { etag } of parts) md5.update(Buffer.from(etag, "hex"));
  return `${md5.digest("hex")}-${parts.length}` as Etag;
}

function vanished(key: ObjectKey): ClipscribeError {
  return new ClipscribeError("transient", "what was uploaded is not there", {
    details: { key },
    hint: "run again: it is sent anew",
  });
}

function byNumber<Part extends { partNumber: number }>(parts: readonly Part[]): Map<number, Part> {
  return new Map(parts.map((part) => [part.partNumber, part]));
}
