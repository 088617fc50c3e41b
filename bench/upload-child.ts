/**
 * Our upload as a process of its own: what `run` and the agent do with files, from the first hash to
 * the compared ETag. Its argument is a file with the plan. The last line is JSON.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";

import { sourceKey } from "../adapters/bucket-sources/bucket-sources.ts";
import { openUploadBook } from "../adapters/ledger/upload-book.ts";
import { openR2Store } from "../adapters/r2/r2-store.ts";
import { openDigestThreads } from "../adapters/system/digest-threads.ts";
import { systemClock } from "../adapters/system/system-clock.ts";
import { DIGEST_THREAD_PATH } from "../bin/install.ts";
import { UserId } from "../core/ids.ts";
import type { Source } from "../core/records.ts";
import { limited } from "../ports/limited.ts";
import { retrying } from "../ports/retrying.ts";
import { openPartHasher } from "../sync/hash-parts.ts";
import { hashSource } from "../sync/hash-source.ts";
import { uploadSource } from "../sync/upload-source.ts";
import { openUploads } from "../sync/uploads.ts";

interface Plan {
  endpoint: string;
  bucket: string;
  accessKeyId: string;
  secretAccessKey: string;
  files: string[];
  home: string;
  /** Bytes a second, or null. */
  limit: number | null;
}

// In a file: thousands of names are more than an environment holds.
/** Files that are hashed or on their way; which go first, the room decides. */
const AT_ONCE = 32;

const plan = JSON.parse(readFileSync(process.argv[2] ?? "", "utf8")) as Plan;
const { signal } = new AbortController();
const user = UserId.parse("me");
using raw = openR2Store({ ...plan, minWriteIntervalMs: 1_000, etags: "md5" });
const tries = { attempts: 7, baseMs: 250, maxMs: 8_000, clock: systemClock, random: Math.random };
const store = limited(retrying(raw, tries), systemClock);
using book = openUploadBook(join(plan.home, "ledger.db"), plan.endpoint);
await using threads = openDigestThreads(DIGEST_THREAD_PATH);
const uploads = openUploads({
  book,
  openDigester: threads.open,
  clock: systemClock,
  bytesPerSecond: plan.limit,
});
const hashLarge = openPartHasher(uploads);

const startedMs = performance.now();
let sentBytes = 0;
let sent = 0;
const upload = async (path: string): Promise<void> => {
  const { sha256, info } = await hashSource(path, signal, { hashLarge });
  const source: Source = {
    kind: "file",
    url: null,
    filename: path.split("/").at(-1) ?? "",
    sha256,
    size: Number(info.size),
    media_type: "video/mp4",
  };
  const call = { path, source, uploads, signal };
  const uploaded = await uploadSource(store, sourceKey(user, source), call);
  sentBytes += uploaded.sentBytes;
  if (uploaded.how === "sent") sent++;
};
const queue = plan.files.values();
const worker = async (): Promise<void> => {
  for (const path of queue) await upload(path);
};
await Promise.all(Array.from({ length: AT_ONCE }, worker));
console.log(JSON.stringify({ ms: performance.now() - startedMs, sentBytes, sent }));
