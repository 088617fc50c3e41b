/**
 * The file system calls that the disk store makes, in one place: what is made durable when is
 * decided in disk-store.ts, and a campaign puts a failing or forgetful file system here.
 */
import {
  close,
  closeSync,
  constants,
  createReadStream,
  fstatSync,
  fsync,
  ftruncateSync,
  linkSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import type { BigIntStats } from "node:fs";
import { open, opendir } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { promisify } from "node:util";

const { O_CREAT, O_WRONLY } = constants;
const fsyncFile = promisify(fsync);
/** A page: records are mostly smaller. */
const SPARE = Buffer.alloc(4096);

export interface ReadFile {
  body: Buffer;
  info: BigIntStats;
}

export interface DiskFs {
  /**
   * Creates a new file with that content; `sync` flushes it to the disk. `isMade`: it is there by
   * `makeSpare`. All but the flush is done when the call returns its promise.
   */
  writeNew(path: string, body: Uint8Array, sync: boolean, isMade?: boolean): Promise<void>;
  /** Makes a file and flushes it, with a block of its own: whoever writes into it has less to flush. */
  makeSpare(path: string): Promise<void>;
  openNew(path: string): Promise<FileHandle>;
  /** Flushes a folder's entries. */
  syncFolder(path: string): Promise<void>;
  rename(from: string, to: string): void;
  /** The same, over a file that is there. */
  replace(from: string, to: string): void;
  link(from: string, to: string): void;
  unlink(path: string): void;
  removeTree(path: string): void;
  /** Only an empty one. */
  removeFolder(path: string): void;
  /** Returns the topmost folder that it had to make, or undefined. */
  makeFolder(path: string): string | undefined;
  /** Undefined where nothing is there: that is asked more often than not, and an error takes longer. */
  read(path: string): ReadFile | undefined;
  stat(path: string): BigIntStats;
  openRead(path: string): Promise<FileHandle>;
  names(path: string): Promise<{ name: string; isFolder: boolean }[]>;
}

export const realDiskFs: DiskFs = {
  async writeNew(path, body, sync, isMade = false) {
    // One that is gone again is made again.
    const fd = openSync(path, isMade ? O_WRONLY | O_CREAT : "wx", 0o644);
    try {
      let written = 0;
      if (isMade) ftruncateSync(fd, Math.min(SPARE.length, body.length));
      while (written < body.length) written += writeSync(fd, body, written);
      if (sync) await fsyncFile(fd);
    } finally {
      closeSync(fd);
    }
  },
  async makeSpare(path) {
    const fd = openSync(path, "wx", 0o644);
    try {
      writeSync(fd, SPARE);
      await fsyncFile(fd);
    } finally {
      closeSync(fd);
    }
  },
  openNew: (path) => open(path, "wx", 0o644),
  async syncFolder(path) {
    const fd = openSync(path, "r");
    try {
      await fsyncFile(fd);
    } finally {
      closeSync(fd);
    }
  },
  rename: renameSync,
  replace(from, to) {
    // A disk that is told of each freed block (`discard`) takes a flush's time for it: whoever gives
    // back the last handle waits for that, so a thread does it, not this one.
    const replaced = openSync(to, "r");
    try {
      renameSync(from, to);
    } finally {
      close(replaced, () => undefined);
    }
  },
  link: linkSync,
  unlink: unlinkSync,
  removeTree: (path) => rmSync(path, { recursive: true, force: true }),
  removeFolder: rmdirSync,
  makeFolder: (path) => mkdirSync(path, { recursive: true }),
  read(path) {
    if (statSync(path, { throwIfNoEntry: false }) === undefined) return undefined;
    const fd = openSync(path, "r");
    try {
      const info = fstatSync(fd, { bigint: true });
      const body = Buffer.allocUnsafe(Number(info.size));
      let filled = 0;
      while (filled < body.length) {
        const count = readSync(fd, body, filled, body.length - filled, filled);
        if (count === 0) break;
        filled += count;
      }
      return { body: body.subarray(0, filled), info };
    } finally {
      closeSync(fd);
    }
  },
  stat: (path) => statSync(path, { bigint: true }),
  openRead: (path) => open(path, "r"),
  async names(path) {
    const found: { name: string; isFolder: boolean }[] = [];
    for await (const entry of await opendir(path)) {
      found.push({ name: entry.name, isFolder: entry.isDirectory() });
    }
    return found;
  },
};

/** Streams a file's bytes from an open handle, which it closes. */
export function streamHandle(
  handle: FileHandle,
  range: { start: number; end: number } | undefined,
): AsyncIterable<Uint8Array> {
  return createReadStream("", {
    fd: handle,
    highWaterMark: 1024 * 1024,
    ...(range !== undefined && range),
  }) as AsyncIterable<Uint8Array>;
}
