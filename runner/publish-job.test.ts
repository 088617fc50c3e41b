import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { openMemoryStore } from "../adapters/memory/memory-store.ts";
import { JOB, KEYS, USER } from "../bench/campaign-engine.ts";
import { sha256Of } from "../core/digest.ts";
import { RunnerId } from "../core/ids.ts";
import { claimJobPart, nameManifest } from "../core/job-part.ts";
import { ALL_DEFENCES } from "./defences.ts";
import type { ObjectStore } from "../ports/object-store.ts";
import { openArtifactShelf } from "./artifact-shelf.ts";
import { keepJobFiles, readJobPart, showJobFiles, swapJobPart } from "./publish-job.ts";

const { signal } = new AbortController();

/** Publishes these files for the job, as its end does for the rows of a moment. */
async function publish(store: ObjectStore, rows: string, files: Record<string, string>) {
  const shelf = openArtifactShelf(store, KEYS, ALL_DEFENCES);
  const made = Object.entries(files).map(([path, text]) => ({
    path,
    mediaType: "text/plain",
    text,
  }));
  const rows_sha256 = sha256Of(rows);
  const made_at = new Date().toISOString();
  const about = { job_id: JOB, rows_sha256, clipscribe_version: "0", made_at };
  const manifest = await keepJobFiles(shelf, made, about, signal);
  const found = await readJobPart(store, KEYS, JOB);
  const by = { owner: RunnerId.parse(`of-${rows}`), now: new Date() };
  const claimed = claimJobPart(found?.part, { job_id: JOB, user: USER, rows_sha256 }, by);
  const named = nameManifest(claimed, { ...by, epoch: claimed.epoch }, manifest);
  await swapJobPart(store, KEYS, named, found?.etag ?? null);
  return manifest;
}

describe("the files of a job as a whole", () => {
  test("that a newer publish overtakes copy by copy are the newer one's", async () => {
    const memory = openMemoryStore();
    const old = await publish(memory, "few", { "digest.md": "two done", "graph.json": "{}" });
    const isNewCopied = Promise.withResolvers<void>();
    const isOldShown = Promise.withResolvers<void>();
    const ofNewer: ObjectStore = {
      ...memory,
      async copy(from, to, options) {
        if (to.endsWith("/manifest.json")) {
          isNewCopied.resolve();
          await isOldShown.promise;
        }
        return memory.copy(from, to, options);
      },
    };
    let newer: Promise<void> | undefined;
    const ofOld: ObjectStore = {
      ...memory,
      async copy(from, to, options) {
        newer ??= publish(memory, "all", { "digest.md": "three done" }).then(async () =>
          showJobFiles(ofNewer, KEYS, JOB),
        );
        await isNewCopied.promise;
        const etag = await memory.copy(from, to, options);
        if (from === KEYS.blob(old.sha256)) {
          isOldShown.resolve();
          await newer;
        }
        return etag;
      },
    };
    await showJobFiles(ofOld, KEYS, JOB);

    const shown = await memory.get(KEYS.jobResult(JOB, "digest.md"));
    assert.equal(Buffer.from(shown.body).toString(), "three done");
    assert.equal(await memory.head(KEYS.jobResult(JOB, "graph.json")), undefined);
    const { body } = await memory.get(KEYS.jobResult(JOB, "manifest.json"));
    assert.equal(sha256Of(body), (await readJobPart(memory, KEYS, JOB))?.part.manifest?.sha256);
  });
});
