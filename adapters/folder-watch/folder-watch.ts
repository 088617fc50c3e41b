/**
 * Watches a folder with one `fs.watch` a directory and a rescan that costs one `stat` a directory.
 *
 * Why not a library: at 100,000 files chokidar takes seconds and hundreds of megabytes, since it
 * keeps and stats every file; the agent needs names only, and looks at a file when it is due
 * (docs/decisions/2026-11-25-watching.md, `make bench-watch`).
 *
 * Events may be lost (the kernel's queue holds 16,384), so a directory's time of change is compared
 * at each rescan, and everything is listed now and then: FAT does not keep that time.
 */
import { lstatSync, watch } from "node:fs";
import type { FSWatcher, WatchEventType } from "node:fs";
import { readdir } from "node:fs/promises";

import { ClipscribeError } from "../../core/errors.ts";
import type { FolderWatch, WatchListener, WatchMode } from "../../ports/folder-watch.ts";

/** Deeper folders belong to a drop as a whole; a job takes media down to here (list-files.ts). */
const MAX_DEPTH = 8;
/** The system's limit is shared with other programs: inotify's default was 8,192 for years. */
const MAX_WATCHERS = 4_000;
/** A directory that changed within this time may change again without a new time of change. */
const RACY_MS = 2_100;
/** As many events as this at once may have lost others. */
const BURST_EVENTS = 4_000;
const BURST_MS = 250;
/** A large folder on a slow server is listed a tenth of the time at most. */
const SCAN_SHARE = 9;

export interface FolderWatchOptions {
  /** Between two rescans of directories by their time of change. */
  rescanMs?: number;
  /** Between two listings of everything. */
  fullRescanMs?: number;
  /** The network file system's name: events don't come, everything is listed each time. */
  network?: string | null;
  platform?: NodeJS.Platform;
  /** For tests of the limits of a system. */
  watchFolder?: typeof watch;
}

interface Directory {
  /** Names, and whether they are directories. */
  names: Map<string, boolean>;
  mtimeMs: number;
  /** Another number under the same name is another directory. */
  ino: number;
  /** The names can be trusted while the time of change stands. */
  isTrusted: boolean;
  watcher: FSWatcher | null;
}

export function openFolderWatch(
  root: string,
  listener: WatchListener,
  options: FolderWatchOptions = {},
): FolderWatch {
  const { rescanMs = 2_000, fullRescanMs = 60_000, network = null } = options;
  const { platform = process.platform, watchFolder = watch } = options;
  const directories = new Map<string, Directory>();
  /** FSEvents and ReadDirectoryChangesW watch a whole tree by one handle. */
  const isRecursive = platform === "darwin" || platform === "win32";
  let mode: WatchMode =
    network === null ? { by: "events" } : { by: "scanning", why: `it lies on ${network}` };
  let closed = false;
  let timer: NodeJS.Timeout | undefined;
  let burst: NodeJS.Timeout | undefined;
  let events = 0;
  let lastFullMs = performance.now();
  let isTroubled = false;
  let scanning: Promise<void> | undefined;
  let isAgain = false;
  let tookMs = 0;

  const at = (relative: string): string => (relative === "" ? root : `${root}/${relative}`);
  const under = (relative: string, name: string): string =>
    relative === "" ? name : `${relative}/${name}`;

  function setMode(next: WatchMode): void {
    if (mode.by === next.by) return;
    mode = next;
    listener.onMode(next);
  }

  function startWatcher(relative: string): FSWatcher | null {
    if (mode.by === "scanning" || closed) return null;
    if (isRecursive && relative !== "") return null;
    if (directories.size > MAX_WATCHERS) {
      setMode({ by: "scanning", why: "it holds too many folders" });
      return null;
    }
    try {
      const watcher = watchFolder(at(relative), { recursive: isRecursive, encoding: "utf8" });
      watcher.on("change", (type: WatchEventType, name) => {
        // Null where the system does not say.
        onEvent(relative, type, typeof name === "string" ? name : "");
      });
      watcher.on("error", () => stopWatcher(relative));
      return watcher;
    } catch (error) {
      const { code = "" } = error as { code?: string };
      // ENOSPC: no more watches; EMFILE, ENFILE: no more handles. Others: the folder went meanwhile.
      if (["ENOSPC", "EMFILE", "ENFILE"].includes(code)) {
        setMode({ by: "scanning", why: `the system's limit of watches is reached (${code})` });
      }
      return null;
    }
  }

  function stopWatcher(relative: string): void {
    const directory = directories.get(relative);
    directory?.watcher?.close();
    if (directory !== undefined) Object.assign(directory, { watcher: null, isTrusted: false });
  }

  function forget(relative: string): void {
    for (const path of directories.keys()) {
      if (path !== relative && !path.startsWith(`${relative}/`)) continue;
      directories.get(path)?.watcher?.close();
      directories.delete(path);
    }
  }

  function onEvent(relative: string, type: WatchEventType, name: string): void {
    if (closed) return;
    events++;
    burst ??= setTimeout(afterBurst, BURST_MS);
    if (name === "") {
      void rescan(true);
      return;
    }
    const path = under(relative, name);
    if (type === "rename") noteName(path);
    listener.onHint(path);
  }

  /** A name came or went: a new directory is watched, one that went is not any more. */
  function noteName(path: string): void {
    const cut = path.lastIndexOf("/");
    const parent = directories.get(cut === -1 ? "" : path.slice(0, cut));
    const name = path.slice(cut + 1);
    let isDirectory: boolean | undefined;
    try {
      isDirectory = lstatSync(at(path), { throwIfNoEntry: false })?.isDirectory();
    } catch {
      // The rescan finds out.
    }
    if (isDirectory === undefined) parent?.names.delete(name);
    else parent?.names.set(name, isDirectory);
    if (isDirectory !== true && directories.has(path)) forget(path);
    if (isDirectory === true) void readNew(path);
  }

  async function readNew(path: string): Promise<void> {
    try {
      await readDirectory(path);
    } catch {
      // It went again, or the rescan finds out why.
    }
  }

  function afterBurst(): void {
    burst = undefined;
    const many = events >= BURST_EVENTS;
    events = 0;
    if (many) void rescan(true);
  }

  /** Lists a directory, hints what is new or gone, and goes on into new ones. */
  async function readDirectory(relative: string): Promise<void> {
    const known = directories.get(relative);
    if (relative.split("/").length > MAX_DEPTH) return;
    const directory: Directory = known ?? {
      names: new Map(),
      mtimeMs: 0,
      ino: 0,
      isTrusted: false,
      watcher: null,
    };
    directories.set(relative, directory);
    const beforeMs = Date.now();
    let entries;
    try {
      const { mtimeMs, ino } = lstatSync(at(relative));
      if (directory.ino !== ino) stopWatcher(relative);
      directory.ino = ino;
      // First the watch, then the listing: what comes in between is seen twice, not never.
      directory.watcher ??= startWatcher(relative);
      entries = await readdir(at(relative), { withFileTypes: true });
      directory.mtimeMs = mtimeMs;
      directory.isTrusted = beforeMs - mtimeMs > RACY_MS;
    } catch (error) {
      forget(relative);
      throw error;
    }
    const names = new Map<string, boolean>();
    for (const entry of entries) names.set(entry.name, entry.isDirectory());
    const old = directory.names;
    directory.names = names;
    for (const [name, isDirectory] of names) {
      const path = under(relative, name);
      if (old.get(name) !== isDirectory) listener.onHint(path);
      if (isDirectory && !directories.has(path)) await readNew(path);
      if (!isDirectory && old.get(name) === true) forget(path);
    }
    for (const [name, wasDirectory] of old) {
      if (names.has(name)) continue;
      if (wasDirectory) forget(under(relative, name));
      listener.onHint(under(relative, name));
    }
  }

  function hasChanged(relative: string, directory: Directory): boolean {
    if (!directory.isTrusted) return true;
    const info = lstatSync(at(relative), { throwIfNoEntry: false });
    return info?.mtimeMs !== directory.mtimeMs || info.ino !== directory.ino;
  }

  async function scanOnce(isFull: boolean): Promise<void> {
    if (isFull) lastFullMs = performance.now();
    try {
      if (!directories.has("")) await readDirectory("");
      for (const [relative, directory] of directories) {
        if (closed) return;
        try {
          if (isFull || hasChanged(relative, directory)) await readDirectory(relative);
        } catch (error) {
          if (relative === "") throw error;
        }
      }
      if (isTroubled) listener.onTrouble(null);
      isTroubled = false;
    } catch (error) {
      if (!isTroubled) listener.onTrouble(describeTrouble(error, root));
      isTroubled = true;
    }
  }

  /** One scan at a time; one that is asked for meanwhile follows. */
  async function rescan(isFull: boolean): Promise<void> {
    if (scanning !== undefined) {
      isAgain = true;
      return scanning;
    }
    const beganMs = performance.now();
    scanning = (async () => {
      await scanOnce(isFull);
      while (isAgain && !closed) {
        isAgain = false;
        await scanOnce(true);
      }
    })();
    await scanning;
    scanning = undefined;
    tookMs = performance.now() - beganMs;
  }

  function schedule(): void {
    if (closed) return;
    timer = setTimeout(
      () => {
        const isFull = mode.by === "scanning" || performance.now() - lastFullMs >= fullRescanMs;
        void rescan(isFull).then(schedule, schedule);
      },
      Math.max(rescanMs, tookMs * SCAN_SHARE),
    );
  }

  const ready = rescan(true);
  void ready.then(schedule, schedule);
  return {
    ready,
    get mode() {
      return mode;
    },
    rescan: async () => rescan(true),
    async [Symbol.asyncDispose]() {
      closed = true;
      clearTimeout(timer);
      clearTimeout(burst);
      await scanning;
      for (const directory of directories.values()) directory.watcher?.close();
      directories.clear();
    },
  };
}

/** Passes, whatever it is: a disk that is mounted again, rights that are given back. */
function describeTrouble(error: unknown, folder: string): ClipscribeError {
  const { code } = error as { code?: string };
  const isGone = code === "ENOENT" || code === "ENOTDIR";
  const message = isGone ? "the inbox is gone" : "the inbox can't be read";
  return new ClipscribeError("transient", message, {
    details: { folder, code },
    hint: isGone ? "bring it back, or mount its disk: it goes on by itself" : "make it readable",
    cause: error,
  });
}
