/** The SHA-256 of a person's file, with its identity before and after: no torn hash. */
import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { open } from "node:fs/promises";
import type { BigIntStats } from "node:fs";
import { basename } from "node:path";

import { ClipscribeError, asClipscribeError } from "../core/errors.ts";
import type { Sha256 } from "../core/ids.ts";
import { safeLine } from "../core/safe-text.ts";

/** Large enough that the hash, not the calls, takes the time. */
const CHUNK_BYTES = 4 * 1024 * 1024;

export interface HashedSource {
  sha256: Sha256;
  info: BigIntStats;
}

/**
 * @throws `contract` for an empty file or one that changes while it is read; `denied` where it may
 *   not be read; `missing` where it is gone.
 */
export async function hashSource(
  path: string,
  signal: AbortSignal,
  /** `refuse`: what was dropped by its name in a folder; a link there may point anywhere. */
  links: "follow" | "refuse" = "follow",
): Promise<HashedSource> {
  const details = { file: safeLine(basename(path)) };
  const noFollow = links === "refuse" ? constants.O_NOFOLLOW : 0;
  const flags = constants.O_RDONLY | constants.O_NONBLOCK | noFollow;
  let handle;
  try {
    handle = await open(path, flags);
  } catch (cause) {
    throw unreadable(cause, details);
  }
  await using file = handle;
  const before = await file.stat({ bigint: true });
  if (!before.isFile()) throw new ClipscribeError("contract", "not a file", { details });
  if (before.size === 0n) {
    throw new ClipscribeError("contract", "the file is empty", {
      details,
      hint: "if it lives in a cloud folder, let it download first; then run again",
    });
  }
  const hash = createHash("sha256");
  const buffer = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, Number(before.size) + 1));
  for (;;) {
    if (signal.aborted) throw asClipscribeError(signal.reason);
    const { bytesRead } = await file.read(buffer, 0, buffer.length);
    if (bytesRead === 0) break;
    hash.update(buffer.subarray(0, bytesRead));
  }
  const after = await file.stat({ bigint: true });
  if (after.size !== before.size || after.mtimeNs !== before.mtimeNs) {
    throw new ClipscribeError("contract", "the file changes while it is read", {
      details,
      hint: "wait until it is copied to its end, then run again",
    });
  }
  return { sha256: hash.digest("hex") as Sha256, info: after };
}

function unreadable(cause: unknown, details: { file: string }): ClipscribeError {
  const { code } = cause as { code?: string };
  if (code === "ELOOP" || code === "EMLINK") {
    return new ClipscribeError("contract", "it is a link", {
      details,
      hint: "drop the file itself",
      cause,
    });
  }
  if (code === "ENOENT") {
    return new ClipscribeError("missing", "the file is gone", { details, cause });
  }
  if (code === "EACCES" || code === "EPERM") {
    return new ClipscribeError("denied", "the file may not be read", {
      details,
      hint: "give yourself access to it, then run again",
      cause,
    });
  }
  return new ClipscribeError("transient", "the file can't be read now", {
    details: { ...details, code },
    hint: "check the disk, then run again",
    cause,
  });
}
