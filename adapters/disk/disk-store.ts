/**
 * The bucket as a folder: `key-path.ts` says where, this says how.
 *
 * An object is written beside the store's root, flushed, and moved into place by one rename (or,
 * where it must not exist, one link), then its folder is flushed. A condition is checked and
 * committed inside one critical section of all processes. So readers see the old bytes or the new
 * ones; a crash leaves at most a temporary file, which the next start sweeps.
 *
 * Etags: up to 64 KiB the SHA-256 of the bytes (as R2's depend on the bytes alone); above, inode,
 * size and time of change, for what is large is content-addressed anyway.
 */
import { randomUUID } from "node:crypto";
import type { BigIntStats } from "node:fs";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";

import { ClipscribeError, asClipscribeError } from "../../core/errors.ts";
import type { ObjectKey } from "../../core/keys.ts";
import type {
  Etag,
  GetOptions,
  ObjectInfo,
  ObjectStore,
  PutOptions,
  StoredObject,
} from "../../ports/object-store.ts";
import { codeOf, describeDiskError } from "./disk-error.ts";
import { HASHED_ETAG_BYTES, etagOf, etagOfFile, hashedEtag } from "./disk-etag.ts";
import { createFolders } from "./disk-folders.ts";
import { realDiskFs, streamHandle } from "./disk-fs.ts";
import type { DiskFs, ReadFile } from "./disk-fs.ts";
import { listObjects } from "./disk-list.ts";
import { openDiskUploads } from "./disk-uploads.ts";
import { openDiskWriter } from "./disk-writer.ts";
import { pathOfKey } from "./key-path.ts";
import { openProcessLock } from "./process-lock.ts";
import { ignoreTrouble, openTemporaryFiles, sweepTemporary } from "./temporary-files.ts";

export interface DiskStoreOptions {
  root: string;
  fs?: DiskFs;
  now?: () => Date;
  /** adapters/disk/write-thread.ts, or its bundle: it writes under load. Without it, all is done here. */
  threadPath?: string;
}

export interface DiskStore extends ObjectStore, AsyncDisposable {
  /** Absolute path of an object's file, for a person. */
  pathOf(key: ObjectKey): string;
}

export function openDiskStore(options: DiskStoreOptions): DiskStore {
  const { root, fs = realDiskFs, now = () => new Date() } = options;
  const temporaryDir = join(root, ".tmp");
  const folders = createFolders(fs, root);
  // Through the same door as all folders: the first flush makes the store's own name durable, too.
  guard(root, () => folders.make(temporaryDir));
  const lock = openProcessLock(join(root, ".lock"));
  sweepTemporary(fs, temporaryDir, now());
  /** Objects that are being put. */
  let underWay = 0;
  const temporaries = openTemporaryFiles(fs, temporaryDir, now, () => underWay === 0);
  const temporary = (): string => temporaries.take().path;
  const { threadPath } = options;
  const writer = threadPath === undefined ? undefined : openDiskWriter(threadPath);
  const pathOf = (key: ObjectKey): string => join(root, pathOfKey(key));

  /** Moves a finished temporary file into place, if the condition holds. */
  async function commit(
    key: ObjectKey,
    from: string,
    put: PutOptions,
    onVisible?: () => void,
  ): Promise<void> {
    const path = pathOf(key);
    try {
      throwIfAborted(put.signal);
      folders.with(dirname(path), () => moveIntoPlace(key, from, path, put));
    } catch (error) {
      ignoreTrouble(() => fs.unlink(from));
      throw describeDiskError(error, path);
    }
    const flushed = isSynced(put) ? folders.sync(dirname(path)) : undefined;
    onVisible?.();
    await flushed;
  }

  function moveIntoPlace(key: ObjectKey, from: string, path: string, put: PutOptions): void {
    if (put.ifMatch === null) {
      linkNew(fs, from, path, key);
      fs.unlink(from);
    } else if (put.ifMatch === undefined && put.durability === "recomputable") {
      // Copies and caches: nobody swaps such a key, so nothing is to be kept apart.
      fs.rename(from, path);
    } else {
      lock.run(() => {
        if (put.ifMatch === undefined) return fs.rename(from, path);
        assertEtag(fs, path, key, put.ifMatch);
        fs.replace(from, path);
      });
    }
  }

  async function putHere(key: ObjectKey, body: Uint8Array, put: PutOptions): Promise<Etag> {
    const folder = dirname(pathOf(key));
    const isFlushed = put.durability !== "recomputable";
    const { path: from, isMade } = isFlushed ? temporaries.takeMade() : temporaries.take();
    try {
      const written = fs.writeNew(from, body, isFlushed, isMade);
      if (isSynced(put)) folders.prepare(folder);
      await written;
    } catch (error) {
      ignoreTrouble(() => fs.unlink(from));
      folders.prune(folder);
      throw describeDiskError(error, pathOf(key));
    }
    const large = BigInt(body.length) > HASHED_ETAG_BYTES;
    const etag = large ? etagOf(fs.stat(from), undefined) : hashedEtag(body);
    await commit(key, from, put, () => put.onVisible?.(etag));
    if (isFlushed) temporaries.noteWrite();
    return etag;
  }

  /**
   * What needs no lock and is small: records that are new, copies and caches. False where it must be
   * done here: nothing has been done then, or something is wrong that is described there.
   */
  async function putByThread(key: ObjectKey, body: Uint8Array, put: PutOptions): Promise<boolean> {
    const isNew = put.ifMatch === null;
    const isFlushed = put.durability !== "recomputable";
    const needsLock = !isNew && (put.ifMatch !== undefined || isFlushed);
    const isLarge = BigInt(body.length) > HASHED_ETAG_BYTES;
    if (writer === undefined || needsLock || isLarge || put.onVisible !== undefined) return false;
    const to = pathOf(key);
    if (!makeAhead(folders, dirname(to))) return false;
    const order = { to, temporary: temporary(), length: body.length, isFlushed, isNew };
    const code = await writer.carryOut(order, body);
    if (code === "EEXIST" && isNew) throw conflict(key);
    if (code !== null) return false;
    if (isSynced(put)) await folders.sync(dirname(to));
    return true;
  }

  /** A projection that was not there: one link is the whole copy. False where it takes the longer way. */
  async function linkPlain(from: string, to: string): Promise<boolean> {
    if (writer?.isWanted(underWay) !== true) return linkIfAbsent(fs, folders, from, to);
    if (!makeAhead(folders, dirname(to))) return false;
    return (await writer.carryOut({ to, linkOf: from })) === null;
  }

  const store: DiskStore = {
    minWriteIntervalMs: 0,
    etags: "opaque",
    partDigest: "sha256",
    pathOf,

    async get(key: ObjectKey, get: GetOptions = {}): Promise<StoredObject> {
      throwIfAborted(get.signal);
      const path = pathOf(key);
      // A large object that is the same need not be read to be known.
      if (
        get.ifNoneMatch !== undefined &&
        describeObject(fs, path, key)?.etag === get.ifNoneMatch
      ) {
        return undefined as unknown as StoredObject;
      }
      const { body, info } = readObject(fs, path, key);
      const etag = etagOf(info, body);
      const object = { key, etag, sizeBytes: Number(info.size), modifiedAt: info.mtime, body };
      if (get.range === undefined) return object;
      const { start, end } = clampRange(key, get.range, body.length);
      return { ...object, body: body.subarray(start, end + 1) };
    },

    async getStream(key, get = {}) {
      const path = pathOf(key);
      const handle = await fs.openRead(path).catch((error: unknown) => {
        throw missingOr(error, path, key);
      });
      try {
        const info = await handle.stat({ bigint: true });
        const sizeBytes = Number(info.size);
        const range = get.range && clampRange(key, get.range, sizeBytes);
        const etag = etagOfFile(fs, path, info);
        if (get.ifMatch !== undefined && get.ifMatch !== etag) throw conflict(key);
        return { key, etag, sizeBytes, modifiedAt: info.mtime, body: streamHandle(handle, range) };
      } catch (error) {
        await handle.close();
        throw missingOr(error, path, key);
      }
    },

    async put(key, body, put = {}) {
      throwIfAborted(put.signal);
      underWay++;
      try {
        const isDone = writer?.isWanted(underWay) === true && (await putByThread(key, body, put));
        return isDone ? hashedEtag(body) : await putHere(key, body, put);
      } finally {
        underWay--;
      }
    },

    async putStream(key, body, put = {}) {
      const from = temporary();
      try {
        await using handle = await fs.openNew(from);
        for await (const chunk of body) {
          throwIfAborted(put.signal);
          await handle.writeFile(chunk);
        }
        if (put.durability !== "recomputable") await handle.sync();
      } catch (error) {
        ignoreTrouble(() => fs.unlink(from));
        throw describeDiskError(error, pathOf(key));
      }
      const etag = etagOfFile(fs, from, fs.stat(from));
      await commit(key, from, put);
      return etag;
    },

    async head(key, head = {}) {
      throwIfAborted(head.signal);
      return describeObject(fs, pathOf(key), key);
    },

    list: (prefix, list = {}) => listObjects({ root, fs, describe: describeListed }, prefix, list),

    async copy(from, to, put = {}) {
      throwIfAborted(put.signal);
      const source = pathOf(from);
      const isPlain = put.ifMatch === undefined && put.durability === "recomputable";
      if (isPlain && (await linkPlain(source, pathOf(to)))) return;
      const copied = temporary();
      try {
        fs.link(source, copied);
      } catch (error) {
        throw missingOr(error, source, from);
      }
      await commit(to, copied, put);
      // Where both were one file already, a rename does nothing, and leaves both names.
      ignoreTrouble(() => fs.unlink(copied));
    },

    async delete(key, remove = {}) {
      throwIfAborted(remove.signal);
      const path = pathOf(key);
      try {
        lock.run(() => {
          if (remove.ifMatch !== undefined) assertEtag(fs, path, key, remove.ifMatch);
          fs.unlink(path);
        });
      } catch (error) {
        if (isGone(error)) return;
        throw describeDiskError(error, path);
      }
      const folder = folders.prune(dirname(path));
      if (remove.durability !== "recomputable") await folders.sync(folder);
    },

    presign: (key) => Promise.resolve(pathToFileURL(pathOf(key))),
    ...openDiskUploads({ root, fs, commit, temporary }),
    async [Symbol.asyncDispose]() {
      await temporaries.close();
      await writer?.close();
      lock.close();
    },
  };
  return store;
}

function isSynced({ durability = "synced" }: PutOptions): boolean {
  return durability === "synced";
}

function readObject(fs: DiskFs, path: string, key: ObjectKey): ReadFile {
  let file: ReadFile | undefined;
  try {
    file = fs.read(path);
  } catch (error) {
    throw missingOr(error, path, key);
  }
  if (file === undefined) throw missing(key);
  return file;
}

function describeObject(fs: DiskFs, path: string, key: ObjectKey): ObjectInfo | undefined {
  const info = statObject(fs, path);
  if (info === undefined) return undefined;
  try {
    const etag = etagOfFile(fs, path, info);
    return { key, etag, sizeBytes: Number(info.size), modifiedAt: info.mtime };
  } catch (error) {
    if (isGone(error)) return undefined;
    throw describeDiskError(error, path);
  }
}

/** Undefined where there is no such file, or a folder. */
function statObject(fs: DiskFs, path: string): BigIntStats | undefined {
  try {
    const info = fs.stat(path);
    return info.isFile() ? info : undefined;
  } catch (error) {
    if (isGone(error)) return undefined;
    throw describeDiskError(error, path);
  }
}

function isGone(error: unknown): boolean {
  return codeOf(error) === "ENOENT" || codeOf(error) === "ENOTDIR";
}

/**
 * For listings, whose readers mostly want names and times: the etag, for which a small file is read,
 * is found out when it is asked for. An object that is gone by then has one that nothing matches.
 */
function describeListed(fs: DiskFs, path: string, key: ObjectKey): ObjectInfo | undefined {
  const info = statObject(fs, path);
  if (info === undefined) return undefined;
  let etag: Etag | undefined;
  return {
    key,
    sizeBytes: Number(info.size),
    modifiedAt: info.mtime,
    get etag() {
      etag ??= describeObject(fs, path, key)?.etag ?? hashedEtag(Buffer.from(randomUUID()));
      return etag;
    },
  };
}

function assertEtag(fs: DiskFs, path: string, key: ObjectKey, expected: Etag | null): void {
  const current = describeObject(fs, path, key)?.etag ?? null;
  if (current !== expected) throw conflict(key);
}

function linkNew(fs: DiskFs, from: string, to: string, key: ObjectKey): void {
  try {
    fs.link(from, to);
  } catch (error) {
    if (codeOf(error) === "EEXIST") throw conflict(key);
    throw error;
  }
}

/** Returns false where the folder can't be made: whoever writes into it says why. */
function makeAhead(folders: { make(path: string): void }, path: string): boolean {
  try {
    folders.make(path);
    return true;
  } catch {
    return false;
  }
}

/** Returns false where the plain link can't be made: the longer way says why, or does it. */
function linkIfAbsent(
  fs: DiskFs,
  folders: { make(path: string): void },
  from: string,
  to: string,
): boolean {
  try {
    folders.make(dirname(to));
    fs.link(from, to);
    return true;
  } catch {
    return false;
  }
}

function conflict(key: ObjectKey): ClipscribeError {
  return new ClipscribeError("conflict", "the object was changed by another writer", {
    details: { key },
  });
}

function missingOr(error: unknown, path: string, key: ObjectKey): ClipscribeError {
  const code = codeOf(error);
  if (code !== "ENOENT" && code !== "ENOTDIR" && code !== "EISDIR") {
    return describeDiskError(error, path);
  }
  return missing(key);
}

function missing(key: ObjectKey): ClipscribeError {
  return new ClipscribeError("missing", "there is no such object", { details: { key } });
}

function clampRange(
  key: ObjectKey,
  range: { start: number; end?: number },
  sizeBytes: number,
): { start: number; end: number } {
  if (range.start >= sizeBytes) {
    throw new ClipscribeError("contract", "the range starts past the object's end", {
      details: { key, start: range.start, size: sizeBytes },
    });
  }
  return { start: range.start, end: Math.min(range.end ?? sizeBytes - 1, sizeBytes - 1) };
}

function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw asClipscribeError(signal.reason);
}

function guard(path: string, work: () => unknown): void {
  try {
    work();
  } catch (error) {
    throw describeDiskError(error, path);
  }
}
