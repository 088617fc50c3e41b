/** The shared folders on the machine's own file systems. */
import { createHash } from "node:crypto";
import { constants, existsSync, lstatSync, mkdirSync } from "node:fs";
import type { BigIntStats } from "node:fs";
import { link, lstat, open, readdir, rename, rm, unlink, utimes } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { basename, dirname } from "node:path";

import { ClipscribeError, DISK_FULL } from "../../core/errors.ts";
import type { DropFiles, Entry, EntryKind, FileLook } from "../../ports/drop-files.ts";

const COPY_BYTES = 1024 * 1024;
/** File systems without hard links: FAT, some network mounts. */
const NO_LINKS = ["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK", "EINVAL"];

export const dropFiles: DropFiles = {
  async list(folder) {
    const entries = await translated(readdir(folder, { withFileTypes: true }), folder);
    return entries.map((entry): Entry => ({ name: entry.name, kind: kindOf(entry) }));
  },

  look(path) {
    try {
      const info = lstatSync(path, { bigint: true, throwIfNoEntry: false });
      return info === undefined ? undefined : describe(info);
    } catch (error) {
      // A parent that became a file, or a name that is too long, has nothing under it.
      if (["ENOTDIR", "ENAMETOOLONG", "ENOENT"].includes(codeOf(error))) return undefined;
      throw translate(error, path);
    }
  },

  async open(path) {
    const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
    const handle = await translated(open(path, flags), path);
    try {
      const info = await handle.stat({ bigint: true });
      if (!info.isFile()) throw notAFile(path);
    } catch (error) {
      await handle.close();
      throw translate(error, path);
    }
    return {
      look: async () => describe(await translated(handle.stat({ bigint: true }), path)),
      read: async (offset, length) => translated(readFully(handle, offset, length), path),
      [Symbol.asyncDispose]: async () => handle.close(),
    };
  },

  makeFolder(path) {
    try {
      mkdirSync(path, { recursive: true });
    } catch (error) {
      throw translate(error, path);
    }
  },

  async rename(from, to) {
    try {
      await rename(from, to);
    } catch (error) {
      if (codeOf(error) !== "EXDEV") throw translate(error, from);
      await translated(moveAcross(from, to), from);
    }
  },

  async nameNew(from, to) {
    const info = await translated(lstat(from), from);
    if (info.isFile()) {
      try {
        await link(from, to);
        await unlink(from);
        return;
      } catch (error) {
        const isOurs = codeOf(error) === "EEXIST" && (await isSameFile(from, to));
        if (!isOurs && !NO_LINKS.includes(codeOf(error))) throw translate(error, to);
        // Cut off between the two: it has its last name already.
        if (isOurs) return translated(unlink(from), from);
      }
    }
    // No system call names a folder only if the name is free; one agent works on these folders.
    if (existsSync(to)) throw taken(to);
    await translated(rename(from, to), to);
  },

  async writeNew(path, text) {
    try {
      await using file = await open(path, "wx", 0o644);
      await file.writeFile(text);
      await file.sync();
    } catch (error) {
      throw translate(error, path);
    }
  },

  async sync(folder) {
    try {
      await using handle = await open(folder, "r");
      await handle.sync();
    } catch (error) {
      // Some network file systems can't; a rename there is as durable as it gets.
      if (!["EINVAL", "ENOTSUP", "EISDIR", "EPERM"].includes(codeOf(error))) {
        throw translate(error, folder);
      }
    }
  },
};

async function readFully(handle: FileHandle, offset: number, length: number): Promise<Uint8Array> {
  const buffer = Buffer.alloc(length);
  let filled = 0;
  while (filled < length) {
    const { bytesRead } = await handle.read(buffer, filled, length - filled, offset + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return buffer.subarray(0, filled);
}

async function isSameFile(one: string, other: string): Promise<boolean> {
  const [a, b] = await Promise.all([lstat(one), lstat(other)]);
  return a.ino === b.ino && a.dev === b.dev;
}

/** To another file system: copied, synced, compared, and only then removed here. Files alone. */
async function moveAcross(from: string, to: string): Promise<void> {
  {
    await using source = await open(from, constants.O_RDONLY | constants.O_NOFOLLOW);
    const before = await source.stat({ bigint: true });
    if (!before.isFile()) {
      throw new ClipscribeError("config", "a folder can't be moved to another file system", {
        details: { folder: basename(from) },
        hint: "have the inbox and CLIPSCRIBE_HOME on one disk",
      });
    }
    await rm(to, { force: true });
    await using copy = await open(to, "wx+", 0o644);
    const read = createHash("sha256");
    for (let at = 0; ;) {
      const chunk = await readFully(source, at, COPY_BYTES);
      if (chunk.length === 0) break;
      read.update(chunk);
      await copy.write(chunk, 0, chunk.length, at);
      at += chunk.length;
    }
    await copy.sync();
    const written = createHash("sha256");
    for (let at = 0; ;) {
      const chunk = await readFully(copy, at, COPY_BYTES);
      if (chunk.length === 0) break;
      written.update(chunk);
      at += chunk.length;
    }
    const after = await source.stat({ bigint: true });
    const isSame = after.size === before.size && after.mtimeNs === before.mtimeNs;
    if (!isSame || read.digest("hex") !== written.digest("hex")) {
      await rm(to, { force: true });
      throw new ClipscribeError("transient", "the file changed while it was moved");
    }
  }
  const info = await lstat(from);
  await utimes(to, info.atime, info.mtime);
  await unlink(from);
}

function kindOf(entry: {
  isFile(): boolean;
  isDirectory(): boolean;
  isSymbolicLink(): boolean;
}): EntryKind {
  if (entry.isFile()) return "file";
  if (entry.isDirectory()) return "folder";
  return entry.isSymbolicLink() ? "link" : "other";
}

/**
 * macOS shows a file that iCloud has taken off the disk in its full size and without a block ("dataless").
 * Elsewhere a file without blocks is a hole, or on a file system that does not count them. Exported for
 * its test.
 */
export function describe(
  info: BigIntStats,
  platform: NodeJS.Platform = process.platform,
): FileLook {
  return {
    isPlaceholder: platform === "darwin" && info.isFile() && info.size > 0n && info.blocks === 0n,
    kind: kindOf(info),
    sizeBytes: Number(info.size),
    allocatedBytes: Number(info.blocks) * 512,
    mtimeNs: info.mtimeNs,
    ino: info.ino,
  };
}

async function translated<Value>(work: Promise<Value>, path: string): Promise<Value> {
  try {
    return await work;
  } catch (error) {
    throw translate(error, path);
  }
}

function codeOf(error: unknown): string {
  return (error as { code?: string }).code ?? "";
}

function notAFile(path: string): ClipscribeError {
  return new ClipscribeError("contract", "not a file", {
    details: { name: basename(path) },
    hint: "drop the file itself: links, pipes and devices are left alone",
  });
}

function taken(path: string): ClipscribeError {
  return new ClipscribeError("conflict", "the name is taken", { details: { path } });
}

/** What the system's errors mean for a shared folder. */
export function translate(error: unknown, path: string): ClipscribeError {
  if (error instanceof ClipscribeError) return error;
  const details = { path, code: codeOf(error) };
  const as = (
    kind: "denied" | "transient" | "missing",
    message: string,
    hint: string,
  ): ClipscribeError => new ClipscribeError(kind, message, { details, hint, cause: error });
  switch (codeOf(error)) {
    case "ENOENT":
    case "ENOTDIR":
      return as("missing", "it is gone", "put it back, or drop it again");
    case "ELOOP":
    case "EMLINK":
    case "ENXIO":
    case "EISDIR":
      return notAFile(path);
    case "EEXIST":
    case "ENOTEMPTY":
      return taken(path);
    case "ENOSPC":
    case "EDQUOT":
      return as("transient", DISK_FULL, "free some space: it goes on by itself");
    case "EACCES":
    case "EPERM":
      return as(
        "denied",
        "it may not be read or moved",
        `make ${dirname(path)} readable and writable`,
      );
    case "EROFS":
      return as("denied", "the disk is read-only", "mount it writable");
    default:
      return as("transient", "the disk does not answer as it should", "check the disk");
  }
}
