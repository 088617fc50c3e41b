/**
 * A person's file while it is sent. It is the same file from the first byte to the last, and still
 * has its name, or it is not sent: changed, cut, replaced, renamed and deleted are all noticed.
 */
import { constants } from "node:fs";
import type { BigIntStats } from "node:fs";
import { open, stat } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";

import { ClipscribeError } from "../core/errors.ts";
import type { Source } from "../core/records.ts";
import { safeLine } from "../core/safe-text.ts";

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
    // A pipe of that name does not hold us up.
    file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (cause) {
    throw unreadable(cause, about);
  }
  const first = await file.stat({ bigint: true });
  const same = async (): Promise<void> => {
    const now = await file.stat({ bigint: true });
    if (now.size !== first.size || now.mtimeNs !== first.mtimeNs) {
      throw isOther("the file was changed while it was uploaded", about);
    }
    const named = await stat(path, { bigint: true }).catch(() => undefined);
    if (named === undefined) throw isOther("the file was moved or deleted while uploaded", about);
    if (!isSameFile(named, first)) throw isOther("the file was replaced while uploaded", about);
  };
  if (!first.isFile() || first.size !== BigInt(source.size)) {
    await file.close();
    throw isOther("the file is no longer the one that was meant", about);
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
    assertSame: same,
    [Symbol.asyncDispose]: async () => file.close(),
  };
}

/** What was read is not what was hashed before. */
export function changed({ filename }: Pick<Source, "filename">): ClipscribeError {
  return isOther("the file was changed while it was uploaded", { file: safeLine(filename, 120) });
}

function isOther(message: string, details: { file: string }): ClipscribeError {
  return new ClipscribeError("contract", message, {
    details,
    hint: "nothing of it was kept; it is taken anew once nobody writes it",
  });
}

function isSameFile(a: BigIntStats, b: BigIntStats): boolean {
  return a.ino === b.ino && a.dev === b.dev;
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
