import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { openMemoryStore } from "../adapters/memory/memory-store.ts";
import { systemClock } from "../adapters/system/system-clock.ts";
import { sha256Of } from "../core/digest.ts";
import { ItemId, JobId, UserId } from "../core/ids.ts";
import { keysOf } from "../core/keys.ts";
import { ItemInfo, ItemState } from "../core/records.ts";
import { resumeJob, setControl } from "../sync/job-control.ts";
import { submitJob } from "../sync/submit-job.ts";
import { goOnIfResumed } from "./go-on-if-resumed.ts";
import { openJobMetadata } from "./job-metadata.ts";

const USER = UserId.parse("me");
const JOB = JobId.parse("20261125-0900-talk-7f3a");
const TALK = ItemId.parse("talk");
const keys = keysOf(USER);

/** A job of one item, under way with a runner that was told to pause. */
async function pausedJob() {
  const store = openMemoryStore();
  const source = {
    kind: "file" as const,
    url: null,
    filename: "talk.mp4",
    sha256: sha256Of("talk"),
    size: 4,
    media_type: "video/mp4",
  };
  await submitJob(store, systemClock, {
    job: JOB,
    user: USER,
    lane: "batch",
    pipeline: { name: "test", digest: sha256Of("pipeline") },
    device: "laptop",
    items: [{ id: TALK, source, info: ItemInfo.parse({ file_name: "talk.mp4" }), sidecars: [] }],
    again: false,
  });
  await setControl(store, USER, JOB, "paused");
  const world = { store, keys, clock: systemClock, jobs: openJobMetadata(store, keys) };
  const { body, etag } = await store.get(keys.item(JOB, TALK));
  const state = ItemState.parse(JSON.parse(Buffer.from(body).toString()));
  const hold = async (): Promise<ItemState> => {
    const held: ItemState = { ...state, status: "held", owner: null };
    await store.put(keys.item(JOB, TALK), Buffer.from(JSON.stringify(held)), { ifMatch: etag });
    return held;
  };
  const hasNext = async () => (await store.head(keys.ticket("batch", JOB, TALK, 2))) !== undefined;
  return { store, world, hold, hasNext };
}

describe("a pause and a resume that meet", () => {
  test("whoever writes second sees the other: the item goes on either way, once", async () => {
    const personLast = await pausedJob();
    await goOnIfResumed(personLast.world, await personLast.hold());
    assert.equal(await personLast.hasNext(), false);
    await resumeJob(personLast.store, systemClock, { user: USER, job: JOB });
    assert.equal(await personLast.hasNext(), true);

    const runnerLast = await pausedJob();
    const { items } = await resumeJob(runnerLast.store, systemClock, { user: USER, job: JOB });
    assert.deepEqual(items, []);
    const held = await runnerLast.hold();
    await goOnIfResumed(runnerLast.world, held);
    await goOnIfResumed(runnerLast.world, held);
    assert.equal(await runnerLast.hasNext(), true);
  });
});
