/**
 * Small files, written at once and flushed. The calls that only touch memory are made where they
 * stand: each trip to libuv's pool would cost more than they do. The flush, which waits, takes one.
 */
import { closeSync, fsync, openSync, writeSync } from "node:fs";
import { promisify } from "node:util";

/** Flushes what an open file or folder holds. */
export const flush: (fd: number) => Promise<void> = promisify(fsync);

/** Writes a file anew, with what is durable when the promise settles. */
export async function writeFlushed(path: string, body: Uint8Array): Promise<void> {
  const fd = openSync(path, "w", 0o644);
  try {
    for (let at = 0; at < body.length;) at += writeSync(fd, body, at);
    await flush(fd);
  } finally {
    closeSync(fd);
  }
}
