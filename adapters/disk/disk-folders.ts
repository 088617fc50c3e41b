/**
 * The folders that objects lie in: made when the first one comes, taken away when the last one goes, or
 * a sweep would walk those of every job that there ever was. Each is flushed in its parent, too, or its
 * name is not durable.
 */
import { dirname, relative, sep } from "node:path";

import { codeOf, describeDiskError } from "./disk-error.ts";
import type { DiskFs } from "./disk-fs.ts";

/** Names of folders that are kept in memory. */
const MAX_KNOWN_FOLDERS = 10_000;
/** Another process may take a folder away as often as it is made. */
const MAX_TRIES = 20;
/** `outbox/me/JOB` goes with its job; `cache/me` would only be made again. */
const MIN_PRUNED_DEPTH = 3;

export interface DiskFolders {
  make(path: string): void;
  /** Makes the folder, and does in it what fails with ENOENT where it is gone again. */
  with<Value>(path: string, work: () => Value): Value;
  /** Takes an empty folder away; returns the one whose entries have changed. */
  prune(path: string): string;
  /** Flushes a folder, and those above it that were made since. */
  sync(path: string): Promise<void>;
}

export function createFolders(fs: DiskFs, root: string): DiskFolders {
  const pending = new Set<string>();
  /** Folders that were there a moment ago; who finds one gone makes it again. */
  const known = new Set<string>();
  const waiting = new Map<string, Promise<void>>();

  function syncShared(path: string): Promise<void> {
    // Writers that come while a flush is under way share the next one, not this one.
    const next = (waiting.get(path) ?? Promise.resolve()).then(async () => {
      if (waiting.get(path) === next) waiting.delete(path);
      await fs.syncFolder(path).catch((error: unknown) => {
        // Taken away with all that was in it: nothing of it is left to be made durable.
        if (codeOf(error) !== "ENOENT") throw error;
      });
    });
    waiting.set(path, next);
    return next;
  }

  const joined = new Map<string, Promise<void>>();
  function joinSync(path: string): Promise<void> {
    let flush = joined.get(path);
    if (flush === undefined) {
      flush = Promise.resolve().then(() => {
        joined.delete(path);
        return syncShared(path);
      });
      joined.set(path, flush);
    }
    return flush;
  }

  function make(path: string): void {
    if (known.has(path)) return;
    if (known.size >= MAX_KNOWN_FOLDERS) known.clear();
    const top = fs.makeFolder(path);
    known.add(path);
    if (top === undefined) return;
    for (let folder = path; folder.length >= top.length; folder = dirname(folder)) {
      pending.add(dirname(folder));
    }
  }

  return {
    make,
    with(path, work) {
      for (let tries = 1; ; tries++) {
        try {
          // Fails so, too, where it was there for `mkdir` and is gone for the look that follows.
          make(path);
          return work();
        } catch (error) {
          if (codeOf(error) !== "ENOENT" || tries >= MAX_TRIES) throw error;
          known.delete(path);
        }
      }
    },
    prune(path) {
      if (relative(root, path).split(sep).length < MIN_PRUNED_DEPTH) return path;
      try {
        fs.removeFolder(path);
      } catch {
        // Others lie in it, or somebody was faster.
        return path;
      }
      known.delete(path);
      return dirname(path);
    },
    async sync(path) {
      const parents = [...pending].filter((folder) => path.startsWith(folder));
      try {
        await Promise.all([path, ...parents].map(joinSync));
      } catch (error) {
        throw describeDiskError(error, path);
      }
      for (const parent of parents) pending.delete(parent);
    },
  };
}
