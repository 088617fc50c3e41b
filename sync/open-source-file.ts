/**
 * A person's file while it is sent. It is the same file from the first byte to the last, and still
 * has its name, or it is not sent: changed, cut, replaced, renamed and deleted are all noticed.
 */
import { closeSync, constants, fstatSync, openSync, readSync, statSync } from "node:fs";
import type { BigIntStats } from "node:fs";
import { open, stat } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";

import { ClipscribeError } from "../core/errors.ts";
import type { Source } from "../core/records.ts";
import { safeLine } from "../core/safe-text.ts";

/** A pipe of that name does not hold us up. */
const OPEN_FLAGS = constants.O_RDONLY | constants.O_NONBLOCK;

/**
 * A small file, read at one go: so short a look needs no waiting, and eight calls that wait would
 * take ten times as long. @throws as `openSourceFile` and its `read` and `assertSame`.
 */
export function readSourceFile(
  path: string,
  buffer: Uint8Array,
  source: Pick<Source, "size" | "filename">,
): void {
  const about = { file: safeLine(source.filename, 120) };
  let file: number | undefined;
  try {
    file = openSync(path, OPEN_FLAGS);
    const first = fstatSync(file, { bigint: true });
    assertMeant(first, source, about);
    for (let at = 0; at < buffer.length;) {
      const bytesRead = readSync(file, buffer, at, buffer.length - at, at);
      if (bytesRead === 0) throw isOther("the file was cut while it was uploaded", about);
      at += bytesRead;
    }
    assertUnchanged(first, fstatSync(file, { bigint: true }), about);
    assertNamed(first, statSync(path, { bigint: true, throwIfNoEntry: false }), about);
  } catch (error) {
    throw unreadable(error, about);
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

export interface SourceFile extends AsyncDisposable {
  /** Fills the buffer from there. @throws `contract` where the file ends before. */
  read(buffer: Uint8Array, start: number): Promise<void>;
  /** @throws `contract` where it is not what it was when it was opened. */
  assertSame(): Promise<void>;
}

/** @throws `missing`, `denied`, `transient` as the system says; `contract` for another size. */
export async function openSourceFile(
  path: string,
  source: Pick<Source, "size" | "filename">,
): Promise<SourceFile> {
  const about = { file: safeLine(source.filename, 120) };
  let file: FileHandle;
  try {
    file = await open(path, OPEN_FLAGS);
  } catch (cause) {
    throw unreadable(cause, about);
  }
  const first = await file.stat({ bigint: true });
  try {
    assertMeant(first, source, about);
  } catch (error) {
    await file.close();
    throw error;
  }
  return {
    async read(buffer, start) {
      let at = 0;
      while (at < buffer.length) {
        const length = buffer.length - at;
        const { bytesRead } = await file.read(buffer, at, length, start + at).catch((cause) => {
          throw unreadable(cause, about);
        });
        if (bytesRead === 0) throw isOther("the file was cut while it was uploaded", about);
        at += bytesRead;
      }
    },
    async assertSame() {
      assertUnchanged(first, await file.stat({ bigint: true }), about);
      assertNamed(first, await stat(path, { bigint: true }).catch(() => undefined), about);
    },
    [Symbol.asyncDispose]: async () => file.close(),
  };
}

/** What was read is not what was hashed before. */
export function changed({ filename }: Pick<Source, "filename">): ClipscribeError {
  return isOther("the file was changed while it was uploaded", { file: safeLine(filename, 120) });
}

function isOther(message: string, details: About): ClipscribeError {
  return new ClipscribeError("contract", message, {
    details,
    hint: "nothing of it was kept; it is taken anew once nobody writes it",
  });
}

type About = { file: string };

function assertMeant(info: BigIntStats, { size }: { size: number }, about: About): void {
  if (info.isFile() && info.size === BigInt(size)) return;
  throw isOther("the file is no longer the one that was meant", about);
}

function assertUnchanged(first: BigIntStats, now: BigIntStats, about: About): void {
  if (now.size === first.size && now.mtimeNs === first.mtimeNs) return;
  throw isOther("the file was changed while it was uploaded", about);
}

function assertNamed(first: BigIntStats, named: BigIntStats | undefined, about: About): void {
  if (named === undefined) throw isOther("the file was moved or deleted while uploaded", about);
  if (named.ino === first.ino && named.dev === first.dev) return;
  throw isOther("the file was replaced while it was uploaded", about);
}

function unreadable(cause: unknown, details: { file: string }): ClipscribeError {
  if (cause instanceof ClipscribeError) return cause;
  const { code } = cause as { code?: string };
  if (code === "ENOENT") {
    return new ClipscribeError("missing", "the file is gone", { details, cause });
  }
  if (code === "EACCES" || code === "EPERM") {
    const hint = "give yourself access to it, then run again";
    return new ClipscribeError("denied", "the file may not be read", { details, hint, cause });
  }
  return new ClipscribeError("transient", "the file can't be read now", {
    details: { ...details, code },
    hint: "check the disk, then run again",
    cause,
  });
}
