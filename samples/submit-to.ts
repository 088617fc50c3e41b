/** Hands files over as an agent does: originals, records, states, tickets. For tests and benches. */
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";

import { sourceKey } from "../adapters/bucket-sources/bucket-sources.ts";
import { openLedger } from "../adapters/ledger/ledger.ts";
import { openUploadBook } from "../adapters/ledger/upload-book.ts";
import { systemClock } from "../adapters/system/system-clock.ts";
import { ItemId, JobId, Lane, Sha256, UserId } from "../core/ids.ts";
import type { Source } from "../core/records.ts";
import type { ObjectStore } from "../ports/object-store.ts";
import { openDigestInPlace } from "../sync/digest-in-place.ts";
import { submitJob } from "../sync/submit-job.ts";
import { uploadSource } from "../sync/upload-source.ts";
import { openUploads } from "../sync/uploads.ts";

export const USER = UserId.parse("me");

/** `home`: of one machine, whose ledger then knows the files; without it they are uploaded. */
export async function submitTo(
  store: ObjectStore,
  job: string,
  lane: string,
  digest: string,
  files: readonly string[],
  home: string | null = null,
): Promise<void> {
  const items = files.map((path) => {
    const sha256 = Sha256.parse(createHash("sha256").update(readFileSync(path)).digest("hex"));
    const filename = basename(path);
    const source: Source = {
      kind: "file",
      url: null,
      filename,
      sha256,
      size: statSync(path).size,
      media_type: "video/mp4",
    };
    const id = ItemId.parse(filename.replace(/\.[^.]+$/, ""));
    return { id, path, source, sidecars: [], info: { ...NO_INFO, file_name: filename } };
  });
  const { signal } = new AbortController();
  if (home === null) {
    const folder = mkdtempSync(join(tmpdir(), "clipscribe-book-"));
    using book = openUploadBook(join(folder, "ledger.db"), "test");
    const openDigester = openDigestInPlace;
    const uploads = openUploads({ book, openDigester, clock: systemClock, bytesPerSecond: null });
    for (const { path, source } of items) {
      await uploadSource(store, sourceKey(USER, source), { path, source, signal, uploads });
    }
    rmSync(folder, { recursive: true, force: true });
  } else {
    using ledger = openLedger(join(home, "ledger.db"));
    for (const { path, source } of items) {
      const { size, mtimeNs, ctimeNs, ino } = statSync(path, { bigint: true });
      const identity = { size: Number(size), mtimeNs, ctimeNs, ino };
      ledger.remember(path, identity, source.sha256, new Date(Date.now() + 3_000));
    }
  }
  await submitJob(store, systemClock, {
    job: JobId.parse(job),
    user: USER,
    lane: Lane.parse(lane),
    pipeline: { name: "test", digest: Sha256.parse(digest) },
    device: "test",
    items,
    again: false,
  });
}

const NO_INFO = {
  title: null,
  url: null,
  platform: null,
  channel: null,
  published_at: null,
  view_count: null,
  description: null,
  thumbnail_url: null,
};
