/** The SHA-256 of a person's file, with its identity before and after: no torn hash. */
import { createHash } from "node:crypto";
import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { open } from "node:fs/promises";
import type { BigIntStats } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { basename } from "node:path";

import { sha256Of } from "../core/digest.ts";
import { ClipscribeError, asClipscribeError, isKind } from "../core/errors.ts";
import type { Sha256 } from "../core/ids.ts";
import { safeLine } from "../core/safe-text.ts";

/** Large enough that the hash, not the calls, takes the time; small enough for the processor's cache. */
const CHUNK_BYTES = 1024 * 1024;
/** Read while everything else waits: a millisecond. */
const SMALL_BYTES = 1024 * 1024;

/**
 * Hashes a large file in another way than here, on one reading; undefined: do it here.
 * `read` fills the buffer from a position.
 */
export type HashLarge = (
  read: (buffer: Uint8Array, start: number) => Promise<void>,
  sizeBytes: number,
  signal: AbortSignal,
) => Promise<Sha256 | undefined>;

export interface HashOptions {
  /** `refuse`: what was dropped by its name in a folder; a link there may point anywhere. */
  links?: "follow" | "refuse";
  hashLarge?: HashLarge | undefined;
}

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
  { links = "follow", hashLarge }: HashOptions = {},
): Promise<HashedSource> {
  const details = { file: safeLine(basename(path)) };
  const noFollow = links === "refuse" ? constants.O_NOFOLLOW : 0;
  const flags = constants.O_RDONLY | constants.O_NONBLOCK | noFollow;
  const small = hashSmall(path, flags, details);
  if (small !== undefined) return small;
  let handle;
  try {
    handle = await open(path, flags);
  } catch (cause) {
    throw unreadable(cause, details);
  }
  await using file = handle;
  const before = await file.stat({ bigint: true });
  assertHashable(before, details);
  const read = async (buffer: Uint8Array, start: number): Promise<void> =>
    fill(file, buffer, start, details);
  const sha256 =
    (await hashLarge?.(read, Number(before.size), signal)) ?? (await hashHere(file, signal));
  const after = await file.stat({ bigint: true });
  assertSame(before, after, details);
  return { sha256, info: after };
}

async function hashHere(file: FileHandle, signal: AbortSignal): Promise<Sha256> {
  const hash = createHash("sha256");
  for await (const chunk of readAhead(file)) {
    if (signal.aborted) throw asClipscribeError(signal.reason);
    hash.update(chunk);
  }
  return hash.digest("hex") as Sha256;
}

async function fill(
  file: FileHandle,
  buffer: Uint8Array,
  start: number,
  details: Details,
): Promise<void> {
  for (let at = 0; at < buffer.length;) {
    const length = buffer.length - at;
    const { bytesRead } = await file.read(buffer, at, length, start + at).catch((cause) => {
      throw unreadable(cause, details);
    });
    if (bytesRead === 0) throw changes(details);
    at += bytesRead;
  }
}

/** One chunk is read while the one before is hashed. */
async function* readAhead(file: FileHandle): AsyncGenerator<Uint8Array> {
  let [now, next] = [Buffer.allocUnsafe(CHUNK_BYTES), Buffer.allocUnsafe(CHUNK_BYTES)];
  let reading = file.read(now, 0, CHUNK_BYTES);
  for (;;) {
    const { bytesRead } = await reading;
    if (bytesRead === 0) return;
    reading = file.read(next, 0, CHUNK_BYTES);
    // Whoever hashes may throw: nobody waits for this one then.
    reading.catch(() => undefined);
    yield now.subarray(0, bytesRead);
    [now, next] = [next, now];
  }
}

let scratch: Buffer | undefined;

/** At one go, without waiting: for thousands of small files that is ten times as fast. */
function hashSmall(path: string, flags: number, details: Details): HashedSource | undefined {
  let file: number | undefined;
  try {
    file = openSync(path, flags);
    const before = fstatSync(file, { bigint: true });
    if (before.isFile() && before.size > SMALL_BYTES) return undefined;
    assertHashable(before, details);
    // One for all: nobody else reads while this one does.
    const buffer = (scratch ??= Buffer.allocUnsafeSlow(SMALL_BYTES + 1));
    let length = 0;
    // One byte more than it had: it may have grown.
    const wanted = Number(before.size) + 1;
    for (let read = -1; read !== 0 && length < wanted; length += read) {
      read = readSync(file, buffer, length, wanted - length, null);
    }
    const after = fstatSync(file, { bigint: true });
    assertSame(before, after, details);
    return { sha256: sha256Of(buffer.subarray(0, length)), info: after };
  } catch (error) {
    throw isKind(error, "contract") ? error : unreadable(error, details);
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

type Details = { file: string };

function assertHashable(info: BigIntStats, details: Details): void {
  if (!info.isFile()) throw new ClipscribeError("contract", "not a file", { details });
  if (info.size > 0n) return;
  throw new ClipscribeError("contract", "the file is empty", {
    details,
    hint: "if it lives in a cloud folder, let it download first; then run again",
  });
}

function assertSame(before: BigIntStats, after: BigIntStats, details: Details): void {
  if (after.size === before.size && after.mtimeNs === before.mtimeNs) return;
  throw changes(details);
}

function changes(details: Details): ClipscribeError {
  return new ClipscribeError("contract", "the file changes while it is read", {
    details,
    hint: "wait until it is copied to its end, then run again",
  });
}

function unreadable(cause: unknown, details: Details): ClipscribeError {
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
