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
  /**
   * Makes the folder now, and begins to flush the names of those that were not there: that goes on
   * while the bytes of what comes into it are flushed. `sync` waits for it, and tells of its trouble.
   * Never throws.
   */
  prepare(path: string): void;
  /** Makes the folder, and does in it what fails with ENOENT where it is gone again. */
  with<Value>(path: string, work: () => Value): Value;
  /** Takes an empty folder away; returns the one whose entries have changed. */
  prune(path: string): string;
  /** Flushes a folder, and those above it that were made since. */
  sync(path: string): Promise<void>;
}

interface FlushLane {
  /** Ends with the flush, whether it succeeds or not. */
  underWay: Promise<void>;
  /** What nobody has begun yet. */
  next: Promise<void> | undefined;
}

export function createFolders(fs: DiskFs, root: string): DiskFolders {
  /** Folders in which a new one has no durable name yet, and the flush that makes it so, if it began. */
  const pending = new Map<string, Promise<void> | null>();
  /** Folders that were there a moment ago; who finds one gone makes it again. */
  const known = new Set<string>();
  const lanes = new Map<string, FlushLane>();

  async function flush(path: string): Promise<void> {
    await fs.syncFolder(path).catch((error: unknown) => {
      // Taken away with all that was in it: nothing of it is left to be made durable.
      if (codeOf(error) !== "ENOENT") throw error;
    });
  }

  /** One flush of a folder at a time: who comes while one is under way shares the next with all others who do. */
  function joinSync(path: string): Promise<void> {
    const lane = lanes.get(path) ?? { underWay: Promise.resolve(), next: undefined };
    lanes.set(path, lane);
    lane.next ??= lane.underWay.then(() => {
      const begun = flush(path);
      lane.next = undefined;
      lane.underWay = begun.then(undefined, () => undefined);
      void lane.underWay.then(() => {
        if (lane.next === undefined) lanes.delete(path);
      });
      return begun;
    });
    return lane.next;
  }

  function make(path: string): void {
    if (known.has(path)) return;
    if (known.size >= MAX_KNOWN_FOLDERS) known.clear();
    const top = fs.makeFolder(path);
    known.add(path);
    if (top === undefined) return;
    for (let folder = path; folder.length >= top.length; folder = dirname(folder)) {
      pending.set(dirname(folder), null);
    }
  }

  /** Flushes those above the path that need it; each once, however many wait for it. */
  function syncAbove(path: string): Promise<void>[] {
    const above = [...pending].filter(([folder]) => path.startsWith(folder));
    return above.map(async ([folder, begun]) => {
      const flush = begun ?? joinSync(folder);
      pending.set(folder, flush);
      await flush.then(
        () => settle(folder, flush, () => pending.delete(folder)),
        (error: unknown) => {
          settle(folder, flush, () => pending.set(folder, null));
          throw error;
        },
      );
    });
  }

  /** Unless another folder was made there since. */
  function settle(folder: string, flush: Promise<void>, note: () => void): void {
    if (pending.get(folder) === flush) note();
  }

  return {
    make,
    prepare(path) {
      try {
        make(path);
      } catch {
        // Gone again, or something is wrong: `with` makes it once more, or says so.
        return;
      }
      for (const flush of syncAbove(path)) flush.catch(() => undefined);
    },
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
      try {
        await Promise.all([joinSync(path), ...syncAbove(path)]);
      } catch (error) {
        throw describeDiskError(error, path);
      }
    },
  };
}
