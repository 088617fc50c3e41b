/**
 * Brings an item's published files into the person's folder: everything into a hidden folder first,
 * each file checked by its SHA-256, then one rename. An older publish is replaced; what a person
 * changed in it is kept beside, as `{item}.mine`.
 */
import { createHash } from "node:crypto";
import {
  closeSync,
  existsSync,
  fsync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { open } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";

import { sha256Of } from "../core/digest.ts";
import { ClipscribeError, DISK_FULL, asClipscribeError, isKind } from "../core/errors.ts";
import type { Sha256, UserId } from "../core/ids.ts";
import { keysOf } from "../core/keys.ts";
import { Manifest } from "../core/records.ts";
import type { ItemState, ManifestRef } from "../core/records.ts";
import type { ObjectStore } from "../ports/object-store.ts";
import { joinInside } from "./join-inside.ts";

const flush = promisify(fsync);
const MANIFEST = "manifest.json";
const TIMESTAMP = "manifest.json.tsr";
const INCOMING = ".incoming-";
/** A file up to this size is read as a whole, the others as streams. */
const WHOLE_BYTES = 1024 * 1024;
/** Copies of a person's changed folder: `talk.mine`, `talk.mine-2` … */
const MAX_MINE = 1_000;

export interface FetchedResults {
  /** Absolute folder of the item's files. */
  folder: string;
  manifest: Manifest;
  /** False where the same publish was there already, whole. */
  isNew: boolean;
  /** Where a person's changed files are now, if there were any. */
  keptAs: string | null;
}

/** @throws `missing` or `contract` where the store's copy is gone or damaged; `denied`, `transient`
 *   where the folder can't be written. The folder is never half made. */
export async function fetchResults(
  store: ObjectStore,
  user: UserId,
  state: ItemState,
  resultsDir: string,
): Promise<FetchedResults> {
  const { manifest: ref } = state;
  if (ref === null) throw new ClipscribeError("bug", "the item has not been published");
  const body = await readBlob(store, user, ref.sha256);
  const manifest = Manifest.parse(JSON.parse(Buffer.from(body).toString("utf8")));
  const folder = join(resultsDir, state.job_id, state.item_id);
  if (isWhole(folder, manifest, ref)) {
    return { folder, manifest, isNew: false, keptAs: null };
  }
  const incoming = join(resultsDir, state.job_id, `${INCOMING}${process.pid}-${state.item_id}`);
  try {
    const targets = manifest.files.map(({ path, ...file }) => ({
      ...file,
      target: joinInside(incoming, path),
    }));
    const folders = new Set([incoming, ...targets.map(({ target }) => dirname(target))]);
    for (const each of folders) mkdirSync(each, { recursive: true });
    const fetches = targets.map(async ({ target, sha256, size }) => {
      if (size > WHOLE_BYTES) return writeChecked(store, user, sha256, target);
      return writeWhole(target, await readBlob(store, user, sha256));
    });
    fetches.push(writeWhole(join(incoming, MANIFEST), body));
    if (ref.timestamp !== undefined) {
      const answer = await readBlob(store, user, ref.timestamp);
      fetches.push(writeWhole(join(incoming, TIMESTAMP), answer));
    }
    await Promise.all(fetches);
    await Promise.all([...folders].map(syncFolder));
    const keptAs = replaceFolder(incoming, folder);
    await syncFolder(dirname(folder));
    return { folder, manifest, isNew: true, keptAs };
  } catch (error) {
    rmSync(incoming, { recursive: true, force: true });
    throw describeFolderError(error, resultsDir);
  }
}

/** Removes what a process that died left half fetched. */
export function sweepIncoming(resultsDir: string, isGone: (pid: number) => boolean): void {
  if (!existsSync(resultsDir)) return;
  for (const job of readdirSync(resultsDir, { withFileTypes: true })) {
    if (!job.isDirectory()) continue;
    for (const name of readdirSync(join(resultsDir, job.name))) {
      const pid = /^\.(?:incoming|outgoing)-(\d+)-/.exec(name)?.[1];
      if (pid === undefined || (Number(pid) !== process.pid && !isGone(Number(pid)))) continue;
      rmSync(join(resultsDir, job.name, name), { recursive: true, force: true });
    }
  }
}

/** Every file is there in its size, under the same manifest. */
function isWhole(folder: string, manifest: Manifest, ref: ManifestRef): boolean {
  const there = readIfPresent(join(folder, MANIFEST));
  if (there === undefined || sha256Of(there) !== ref.sha256) return false;
  if (ref.timestamp !== undefined && !existsSync(join(folder, TIMESTAMP))) return false;
  return manifest.files.every(({ path, size }) => {
    const info = statSync(join(folder, path), { throwIfNoEntry: false });
    return info?.size === size;
  });
}

/** Swaps the new folder in; returns where the old one stays if a person changed it. */
function replaceFolder(incoming: string, folder: string): string | null {
  if (!existsSync(folder)) {
    renameSync(incoming, folder);
    return null;
  }
  const isMine = wasChanged(folder);
  const aside = isMine
    ? freeName(`${folder}.mine`)
    : join(dirname(folder), `.outgoing-${process.pid}-${Date.now()}`);
  renameSync(folder, aside);
  renameSync(incoming, folder);
  if (!isMine) rmSync(aside, { recursive: true, force: true });
  return isMine ? aside : null;
}

/** True if the folder is anything but what its own manifest says. */
function wasChanged(folder: string): boolean {
  let manifest: Manifest;
  try {
    manifest = Manifest.parse(JSON.parse(readFileSync(join(folder, MANIFEST), "utf8")));
  } catch {
    return readdirSync(folder).length > 0;
  }
  const expected = new Map(manifest.files.map(({ path, sha256 }) => [path, sha256]));
  const names = readdirSync(folder, { recursive: true, withFileTypes: true });
  for (const entry of names) {
    if (entry.isDirectory()) continue;
    const path = join(entry.parentPath, entry.name);
    const name = path.slice(folder.length + 1);
    if (name === MANIFEST || name === TIMESTAMP || entry.name === ".DS_Store") continue;
    const sha256 = expected.get(name);
    if (sha256 === undefined || sha256Of(readFileSync(path)) !== sha256) return true;
  }
  return false;
}

function freeName(base: string): string {
  for (let number = 1; number < MAX_MINE; number++) {
    const name = number === 1 ? base : `${base}-${number}`;
    if (!existsSync(name)) return name;
  }
  throw new ClipscribeError("contract", "too many kept copies of one item", {
    hint: "remove the `.mine` folders that you don't need",
  });
}

async function readBlob(store: ObjectStore, user: UserId, sha256: Sha256): Promise<Uint8Array> {
  const key = keysOf(user).blob(sha256);
  const { body } = await store.get(key);
  if (sha256Of(body) === sha256) return body;
  await store.delete(key);
  throw damaged(sha256);
}

async function writeChecked(
  store: ObjectStore,
  user: UserId,
  sha256: Sha256,
  path: string,
): Promise<void> {
  const { body } = await store.getStream(keysOf(user).blob(sha256));
  const hash = createHash("sha256");
  const hashed = async function* (): AsyncGenerator<Uint8Array> {
    for await (const chunk of body) {
      hash.update(chunk);
      yield chunk;
    }
  };
  await writeSynced(path, hashed());
  if (hash.digest("hex") === sha256) return;
  // Nobody may trust it again: what names it is made anew.
  await store.delete(keysOf(user).blob(sha256));
  throw damaged(sha256);
}

async function writeSynced(path: string, chunks: AsyncIterable<Uint8Array>): Promise<void> {
  await using file = await open(path, "wx", 0o644);
  for await (const chunk of chunks) await file.writeFile(chunk);
  await file.sync();
}

/** Only the flush waits elsewhere: small writes are done sooner than handed over. */
async function writeWhole(path: string, bytes: Uint8Array): Promise<void> {
  const fd = openSync(path, "wx", 0o644);
  try {
    writeFileSync(fd, bytes);
    await flush(fd);
  } finally {
    closeSync(fd);
  }
}

async function syncFolder(path: string): Promise<void> {
  const fd = openSync(path, "r");
  try {
    await flush(fd);
  } finally {
    closeSync(fd);
  }
}

function readIfPresent(path: string): Uint8Array | undefined {
  try {
    return readFileSync(path);
  } catch {
    return undefined;
  }
}

function damaged(sha256: Sha256): ClipscribeError {
  return new ClipscribeError("contract", "a published file is damaged in the store", {
    details: { sha256 },
    hint: "run again: it is made anew",
  });
}

function describeFolderError(error: unknown, resultsDir: string): ClipscribeError {
  if (isKind(error, "missing", "contract", "transient", "denied", "cancelled")) return error;
  const { code } = error as { code?: string };
  const details = { folder: resultsDir, code };
  if (code === "ENOSPC" || code === "EDQUOT") {
    return new ClipscribeError("transient", DISK_FULL, {
      details,
      hint: "free some space, then run again: the results are kept in the store",
      cause: error,
    });
  }
  if (code === "EACCES" || code === "EROFS" || code === "EPERM") {
    return new ClipscribeError("denied", "the results folder can't be written", {
      details,
      hint: "make it writable, or set CLIPSCRIBE_RESULTS; then run again: nothing is lost",
      cause: error,
    });
  }
  return asClipscribeError(error);
}
