/** What the uploads of this process share; opened with the first of them. */
import { join } from "node:path";

import { openUploadBook } from "../adapters/ledger/upload-book.ts";
import { openDigestThreads } from "../adapters/system/digest-threads.ts";
import { systemClock } from "../adapters/system/system-clock.ts";
import { openUploads } from "../sync/uploads.ts";
import type { Uploads } from "../sync/uploads.ts";
import { DIGEST_THREAD_PATH } from "./install.ts";
import type { Settings } from "./settings.ts";

const BITS_A_BYTE = 8;
const MEGA = 1_000_000;

export interface LazyUploads extends AsyncDisposable {
  get(): Uploads;
}

export function lazyUploads(settings: Settings): LazyUploads {
  let opened: { uploads: Uploads; close: () => Promise<void> } | undefined;
  return {
    get() {
      opened ??= open(settings);
      return opened.uploads;
    },
    [Symbol.asyncDispose]: async () => opened?.close(),
  };
}

function open(settings: Settings): { uploads: Uploads; close: () => Promise<void> } {
  const book = openUploadBook(join(settings.home, "ledger.db"), describePlace(settings));
  const threads = openDigestThreads(DIGEST_THREAD_PATH);
  const limit = settings.all.get("CLIPSCRIBE_UPLOAD_MBIT_S")?.value ?? "none";
  const uploads = openUploads({
    book,
    openDigester: threads.open,
    clock: systemClock,
    bytesPerSecond: limit === "none" ? null : (Number(limit) * MEGA) / BITS_A_BYTE,
  });
  return {
    uploads,
    async close() {
      await threads[Symbol.asyncDispose]();
      book[Symbol.dispose]();
    },
  };
}

/** An upload's id means nothing in another bucket. */
function describePlace({ store, all }: Settings): string {
  if (store.kind === "disk") return `disk:${store.path}`;
  return `${store.kind}:${store.bucket} at ${all.get("R2_ENDPOINT")?.value ?? ""}`;
}
