/**
 * Brings an item's published files into the person's folder: everything into a hidden folder first,
 * each file checked by its SHA-256, then one rename. An older publish is replaced; what a person
 * changed in it is kept beside, as `{item}.mine`. What was fetched of it before is not fetched again.
 */
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync } from "node:fs";
import { dirname, join } from "node:path";

import { sha256Of } from "../core/digest.ts";
import { ClipscribeError, DISK_FULL, asClipscribeError, isKind } from "../core/errors.ts";
import type { UserId } from "../core/ids.ts";
import { isPublishedName, keysOf } from "../core/keys.ts";
import type { ObjectKey } from "../core/keys.ts";
import { Manifest } from "../core/records.ts";
import type { ItemState, ManifestRef } from "../core/records.ts";
import type { ObjectStore } from "../ports/object-store.ts";
import { fetchBlob, readBlob } from "./fetch-blobs.ts";
import type { Blobs } from "./fetch-blobs.ts";
import { joinInside } from "./join-inside.ts";
import {
  MANIFEST,
  TIMESTAMP,
  claimIncoming,
  releaseIncoming,
  replaceFolder,
  syncFolder,
} from "./results-folder.ts";
import type { Incoming } from "./results-folder.ts";
import { writeFlushed } from "./write-flushed.ts";

/** Files of one item on their way at once. */
const AT_ONCE = 8;
/** A manifest with more files is no manifest of ours. */
const MAX_FILES = 10_000;

export interface FetchedResults {
  /** Absolute folder of the item's files. */
  folder: string;
  manifest: Manifest;
  /** False where the same publish was there already, whole. */
  isNew: boolean;
  /** Where a person's changed files are now, if there were any. */
  keptAs: string | null;
}

export interface FetchOptions {
  signal?: AbortSignal | undefined;
}

/** @throws `missing` or `contract` where the store's copy is gone, damaged or hostile; `denied`,
 *   `transient` where the folder can't be written or the store not be reached. The folder is never half made. */
export async function fetchResults(
  store: ObjectStore,
  user: UserId,
  state: Pick<ItemState, "job_id" | "item_id" | "manifest">,
  resultsDir: string,
  { signal }: FetchOptions = {},
): Promise<FetchedResults> {
  const { manifest: ref } = state;
  if (ref === null) throw new ClipscribeError("bug", "the item has not been published");
  const copies = new Map([[ref.sha256, copyKey(user, state, MANIFEST)]]);
  const blobs: Blobs = { store, user, signal, copies };
  const body = await readBlob(blobs, ref.sha256);
  const manifest = readManifest(body, state);
  if (ref.timestamp !== undefined) copies.set(ref.timestamp, copyKey(user, state, TIMESTAMP));
  for (const { path, sha256 } of manifest.files) copies.set(sha256, copyKey(user, state, path));
  const jobFolder = join(resultsDir, state.job_id);
  const folder = join(jobFolder, state.item_id);
  if (isWhole(folder, manifest, ref)) return { folder, manifest, isNew: false, keptAs: null };
  let incoming = "";
  try {
    const claimed = claimIncoming(jobFolder, state.item_id);
    incoming = claimed.folder;
    if (!claimed.isNew) removeStrangers(incoming, manifest);
    await fetchFiles(blobs, manifest.files, claimed);
    if (ref.timestamp !== undefined) {
      await writeFlushed(join(incoming, TIMESTAMP), await readBlob(blobs, ref.timestamp));
    }
    await writeFlushed(join(incoming, MANIFEST), body);
    await syncFolder(incoming);
    const keptAs = await replaceFolder(incoming, folder);
    await syncFolder(dirname(folder));
    return { folder, manifest, isNew: true, keptAs };
  } catch (error) {
    const trouble = describeFolderError(error, resultsDir);
    // What has come is of use to the next try, unless it was the publish itself that is bad.
    if (incoming === "") throw trouble;
    if (isKind(trouble, "contract", "missing", "bug")) {
      rmSync(incoming, { recursive: true, force: true });
    } else releaseIncoming(incoming);
    throw trouble;
  }
}

function copyKey(
  user: UserId,
  { job_id, item_id }: Pick<ItemState, "job_id" | "item_id">,
  file: string,
): ObjectKey {
  return keysOf(user).result(job_id, item_id, file);
}

async function fetchFiles(
  blobs: Blobs,
  files: Manifest["files"],
  { folder, isNew }: Incoming,
): Promise<void> {
  const placed = files.map((file) => ({ file, path: joinInside(folder, file.path) }));
  for (const parent of new Set(placed.map(({ path }) => dirname(path)))) {
    if (parent !== folder) mkdirSync(parent, { recursive: true });
  }
  const queue = placed.values();
  let isOver = false;
  const worker = async (): Promise<void> => {
    for (const { file, path } of queue) {
      if (isOver) return;
      await fetchBlob(blobs, file, path, isNew);
    }
  };
  const workers = Array.from({ length: AT_ONCE }, async () =>
    worker().catch((error: unknown) => {
      isOver = true;
      throw error;
    }),
  );
  // All of them have let go of the folder before it is given away.
  for (const end of await Promise.allSettled(workers)) {
    if (end.status === "rejected") throw end.reason;
  }
}

/** @throws `contract` for one that can't be read, is of another item, or names what it must not. */
function readManifest(
  body: Uint8Array,
  { job_id, item_id }: Pick<ItemState, "job_id" | "item_id">,
): Manifest {
  let manifest: Manifest;
  try {
    manifest = Manifest.parse(JSON.parse(Buffer.from(body).toString("utf8")));
  } catch (cause) {
    throw refused("the manifest can't be read", item_id, cause);
  }
  if (manifest.job_id !== job_id || manifest.item_id !== item_id) {
    throw refused("the manifest is another item's", item_id);
  }
  assertNames(
    manifest.files.map(({ path }) => path),
    item_id,
  );
  return manifest;
}

/** Names come from a bucket that others may write: none may leave the folder, or meet another. */
export function assertNames(paths: readonly string[], about: string): void {
  if (paths.length > MAX_FILES) throw refused("the manifest names too many files", about);
  const files = new Set([MANIFEST, TIMESTAMP]);
  const folders = new Set<string>();
  for (const path of paths) {
    // Where a file system knows no case, two names would be one file.
    const name = path.toLowerCase();
    const parents = name.split("/").map((_, at, all) => all.slice(0, at).join("/"));
    const isTaken =
      files.has(name) || folders.has(name) || parents.some((parent) => files.has(parent));
    if (!isPublishedName(path) || isTaken) {
      throw refused(`the manifest names a file ${JSON.stringify(path.slice(0, 100))}`, about);
    }
    files.add(name);
    for (const parent of parents) folders.add(parent);
  }
}

export function refused(what: string, item: string, cause?: unknown): ClipscribeError {
  return new ClipscribeError("contract", `results are refused: ${what}`, {
    details: { item },
    hint: "do not trust who writes that bucket; the rest is fetched",
    cause,
  });
}

/** What an earlier try has left and this publish does not have. */
function removeStrangers(incoming: string, manifest: Manifest): void {
  const wanted = new Set(manifest.files.map(({ path }) => path));
  for (const entry of readdirSync(incoming, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isDirectory() || (entry.isFile() && wanted.has(path.slice(incoming.length + 1)))) {
      continue;
    }
    rmSync(path, { force: true });
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

function readIfPresent(path: string): Uint8Array | undefined {
  try {
    return readFileSync(path);
  } catch {
    return undefined;
  }
}

export function describeFolderError(error: unknown, resultsDir: string): ClipscribeError {
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
  if (code === "ENOTDIR" || code === "EEXIST") {
    return new ClipscribeError("config", "a file is where the results folder should be", {
      details,
      hint: "move it away, or set CLIPSCRIBE_RESULTS; then run again: nothing is lost",
      cause: error,
    });
  }
  return asClipscribeError(error);
}
