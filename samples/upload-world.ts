/** A bucket of the emulator, a book, and files to send: for tests and benchmarks of uploads. */
import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { openUploadBook } from "../adapters/ledger/upload-book.ts";
import { openR2Store } from "../adapters/r2/r2-store.ts";
import type { R2Options } from "../adapters/r2/r2-store.ts";
import { systemClock } from "../adapters/system/system-clock.ts";
import { Sha256, UserId } from "../core/ids.ts";
import { keysOf } from "../core/keys.ts";
import type { ObjectKey } from "../core/keys.ts";
import type { Source } from "../core/records.ts";
import { openEmulator } from "../emulator/emulator.ts";
import type { Emulator } from "../emulator/emulator.ts";
import type { Clock } from "../ports/clock.ts";
import { MIN_PART_BYTES } from "../ports/object-store.ts";
import type { ObjectStore } from "../ports/object-store.ts";
import type { UploadBook } from "../ports/upload-book.ts";
import { openDigestInPlace } from "../sync/digest-in-place.ts";
import { openUploads } from "../sync/uploads.ts";
import type { Uploads } from "../sync/uploads.ts";

export const MEBIBYTE = 1024 * 1024;
const USER = UserId.parse("me");

export interface UploadWorld extends AsyncDisposable {
  dir: string;
  emulator: Emulator;
  store: ObjectStore;
  book: UploadBook;
  uploads: Uploads;
  /** Random bytes in a file of its own. */
  file(name: string, sizeBytes: number): { path: string; source: Source; key: ObjectKey };
  /** Parts are as small as R2 allows. As another process would find them: nothing but the book is remembered. */
  reopen(bytesPerSecond?: number): Uploads;
  setFaults(faults: unknown): Promise<void>;
}

export async function openUploadWorld(
  more: { r2?: Partial<R2Options>; clock?: Clock } = {},
): Promise<UploadWorld> {
  const dir = mkdtempSync(join(tmpdir(), "clipscribe-upload-"));
  const emulator = await openEmulator({ dir: join(dir, "cloud") });
  const { address } = emulator;
  const store = openR2Store({ ...r2Options(address), ...more.r2 });
  const book = openUploadBook(join(dir, "ledger.db"), "test");
  const { clock = systemClock } = more;
  const partBytes = MIN_PART_BYTES;
  const reopen = (bytesPerSecond: number | null = null): Uploads =>
    openUploads({ book, openDigester: openDigestInPlace, clock, bytesPerSecond, partBytes });
  return {
    dir,
    emulator,
    store,
    book,
    uploads: reopen(),
    reopen,
    file(name, sizeBytes) {
      const path = join(dir, name);
      writeFileSync(path, randomBytes(sizeBytes));
      return { path, ...describeFile(path, name) };
    },
    async setFaults(faults) {
      const answer = await fetch(address.faults_url, {
        method: "PUT",
        body: JSON.stringify(faults),
      });
      if (!answer.ok) throw new Error(await answer.text());
    },
    async [Symbol.asyncDispose]() {
      store[Symbol.dispose]();
      book[Symbol.dispose]();
      await emulator[Symbol.asyncDispose]();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

export function r2Options(address: Emulator["address"]): R2Options {
  return {
    endpoint: address.s3_endpoint,
    bucket: address.bucket,
    accessKeyId: address.access_key_id,
    secretAccessKey: address.secret_access_key,
    minWriteIntervalMs: 0,
    etags: "md5",
  };
}

export function describeFile(path: string, filename: string): { source: Source; key: ObjectKey } {
  const body = readFileSync(path);
  const sha256 = Sha256.parse(createHash("sha256").update(body).digest("hex"));
  const source: Source = {
    kind: "file",
    url: null,
    filename,
    sha256,
    size: body.length,
    media_type: "video/mp4",
  };
  return { source, key: keysOf(USER).source(sha256, "mp4") };
}
