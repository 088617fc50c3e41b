/** Walks the folders below a prefix in UTF-8 order of keys, one folder in memory at each depth. */
import { join } from "node:path";

import { ClipscribeError } from "../../core/errors.ts";
import type { ObjectKey } from "../../core/keys.ts";
import type { ObjectInfo, RequestOptions } from "../../ports/object-store.ts";
import { codeOf, describeDiskError } from "./disk-error.ts";
import type { DiskFs } from "./disk-fs.ts";
import { decodeName, foldersOfPrefix, keyFromParts } from "./key-path.ts";

interface Walk {
  root: string;
  fs: DiskFs;
  describe(fs: DiskFs, path: string, key: ObjectKey): ObjectInfo | undefined;
}

interface Entry {
  path: string;
  /** The key, or what the keys of all objects in this folder begin with. */
  key: string;
  bytes: Buffer;
  isFolder: boolean;
}

export async function* listObjects(
  walk: Walk,
  prefix: string,
  options: RequestOptions & { startAfter?: string },
): AsyncGenerator<ObjectInfo> {
  const after = options.startAfter === undefined ? undefined : Buffer.from(options.startAfter);
  // Not from the root: one job's objects are listed without reading the names of all jobs.
  const folders = foldersOfPrefix(prefix);
  const base = folders.map((name) => `${name}/`).join("");
  yield* walkFolder(walk, join(walk.root, ...folders), base, prefix, after, options.signal);
}

async function* walkFolder(
  walk: Walk,
  folder: string,
  base: string,
  prefix: string,
  after: Buffer | undefined,
  signal: AbortSignal | undefined,
): AsyncGenerator<ObjectInfo> {
  for (const entry of await readEntries(walk, folder, base)) {
    if (signal?.aborted === true) {
      throw new ClipscribeError("cancelled", "the listing was interrupted", {
        cause: signal.reason,
      });
    }
    if (entry.isFolder) {
      const related = entry.key.startsWith(prefix) || prefix.startsWith(entry.key);
      if (related && !isBefore(entry.bytes, after)) {
        yield* walkFolder(walk, entry.path, entry.key, prefix, after, signal);
      }
      continue;
    }
    if (!entry.key.startsWith(prefix)) continue;
    if (after !== undefined && Buffer.compare(entry.bytes, after) <= 0) continue;
    const info = walk.describe(walk.fs, entry.path, keyFromParts(entry.key, ""));
    if (info !== undefined) yield info;
  }
}

/** True if every key that begins with `bytes` comes before `after`. */
function isBefore(bytes: Buffer, after: Buffer | undefined): boolean {
  if (after === undefined) return false;
  const head = after.subarray(0, bytes.length);
  return Buffer.compare(bytes, head) < 0;
}

async function readEntries(walk: Walk, folder: string, base: string): Promise<Entry[]> {
  let names: Awaited<ReturnType<DiskFs["names"]>>;
  try {
    names = await walk.fs.names(folder);
  } catch (error) {
    if (codeOf(error) === "ENOENT") return [];
    throw describeDiskError(error, folder);
  }
  const entries: Entry[] = [];
  for (const { name, isFolder } of names) {
    const decoded = decodeName(name, isFolder);
    if (decoded === undefined) continue;
    const key = base + decoded.suffix;
    entries.push({ path: join(folder, name), key, bytes: Buffer.from(key), isFolder });
  }
  return entries.toSorted(
    (a, b) => Buffer.compare(a.bytes, b.bytes) || Number(a.isFolder) - Number(b.isFolder),
  );
}
