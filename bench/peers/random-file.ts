/** A large file in which no two chunks are alike, written fast. */
import { randomBytes } from "node:crypto";
import { closeSync, openSync, writeSync } from "node:fs";

const CHUNK_BYTES = 16 * 1024 * 1024;

export function writeRandomFile(path: string, bytes: number): void {
  const chunk = randomBytes(CHUNK_BYTES);
  const file = openSync(path, "w");
  for (let left = bytes, at = 0; left > 0; left -= chunk.length, at++) {
    chunk.writeUInt32LE(at);
    writeSync(file, chunk, 0, Math.min(chunk.length, left));
  }
  closeSync(file);
}
