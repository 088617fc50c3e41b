import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { openMemoryStore } from "../adapters/memory/memory-store.ts";
import { systemClock } from "../adapters/system/system-clock.ts";
import { sha256Of } from "../core/digest.ts";
import { ClipscribeError, hasKind } from "../core/errors.ts";
import { ItemId, JobId, UserId } from "../core/ids.ts";
import { keysOf } from "../core/keys.ts";
import type { ObjectKey } from "../core/keys.ts";
import { ItemInfo, ItemState, Metadata } from "../core/records.ts";
import type { Ticket } from "../core/records.ts";
import type { ObjectStore } from "../ports/object-store.ts";
import type { PrepareItem } from "./prepare-port.ts";
import { submitJob } from "./submit-job.ts";
import type { JobSubmission } from "./submit-job.ts";

const SUBMISSION: JobSubmission = {
  job: JobId.parse("run-talk-1a2b3c4d"),
  user: UserId.parse("me"),
  lane: "urgent",
  pipeline: { name: "test", digest: sha256Of("pipeline") },
  device: "laptop",
  items: [
    {
      id: ItemId.parse("talk"),
      source: {
        kind: "file",
        url: null,
        filename: "talk.mp4",
        sha256: sha256Of("talk"),
        size: 4,
        media_type: "video/mp4",
      },
      info: ItemInfo.parse({ file_name: "talk.mp4" }),
      sidecars: [],
    },
  ],
  again: false,
};

describe("submitJob", () => {
  test("submitters of the same job at the same moment all end with the one ticket", async () => {
    const store = openMemoryStore();

    const handoffs = await Promise.all(
      Array.from({ length: 8 }, async () => submitJob(store, systemClock, SUBMISSION)),
    );

    const tickets = handoffs.map(([handoff]) => handoff?.action === "ticket" && handoff.ticket);
    assert.deepEqual(new Set(tickets), new Set(["inbox/urgent/me/run-talk-1a2b3c4d/talk.1.json"]));
  });

  test("a hand-off that was cut off between state and ticket writes the ticket it meant, and prepares nothing", async () => {
    const store = openMemoryStore();
    const prepare = preparing();
    await submitJob(store, systemClock, SUBMISSION, prepare);
    const meant = await read(store, TICKET);
    await store.delete(TICKET);
    const [handoff] = await submitJob(store, systemClock, SUBMISSION, prepare);

    assert.equal(handoff?.action, "ticket");
    assert.deepEqual(await read(store, TICKET), meant);
    assert.equal(prepare.calls.length, 1);
  });

  test("an item that an agent has put down as under way is queued with what was made of it", async () => {
    const store = openMemoryStore();
    await submitJob(store, systemClock, SUBMISSION);
    const state = ItemState.parse(await read(store, STATE));
    await store.delete(TICKET);
    await store.put(STATE, Buffer.from(JSON.stringify({ ...state, status: "uploading" })));
    await submitJob(store, systemClock, SUBMISSION, preparing());
    const queued = ItemState.parse(await read(store, STATE));

    assert.deepEqual([queued.status, queued.run, queued.video_key], ["queued", 1, "sources/x"]);
    assert.deepEqual(
      queued.input?.artifacts.map(({ name }) => name),
      ["audio.audio"],
    );
    assert.deepEqual(await read(store, TICKET), queued.input);
  });

  test("what can't be made ready is held or failed by its kind, with a ticket for its tail; the next try is the next run", async () => {
    const store = openMemoryStore();
    const held = new ClipscribeError("config", "ffmpeg is not installed");
    const [first] = await submitJob(store, systemClock, SUBMISSION, preparing(held));
    const bad = new ClipscribeError("contract", "no medium");
    const [second] = await submitJob(store, systemClock, SUBMISSION, preparing(bad));
    const [third] = await submitJob(store, systemClock, SUBMISSION, preparing());

    assert.equal(first?.action === "ended" && first.state.status, "held");
    assert.equal(second?.action === "ended" && second.state.status, "failed");
    assert.deepEqual(third, {
      item: "talk",
      action: "ticket",
      ticket: TICKET.replace("1.", "3."),
      run: 3,
    });
    // Written after the state that it belongs to.
    assert.deepEqual(
      [first?.action === "ended" && first.ticket, second?.action === "ended" && second.run],
      [TICKET, 2],
    );
    await store.get(TICKET);
  });

  test("a file that can't be made ready while its earlier run is under way leaves that alone", async () => {
    const store = openMemoryStore();
    await submitJob(store, systemClock, SUBMISSION);
    const before = await read(store, STATE);
    const changed = { ...SUBMISSION, pipeline: { name: "test", digest: sha256Of("other") } };
    const error = new ClipscribeError("contract", "no medium");

    await assert.rejects(
      submitJob(store, systemClock, changed, preparing(error)),
      hasKind("conflict"),
    );
    assert.deepEqual(await read(store, STATE), before);
  });

  test("--keep-video said once is kept with the job", async () => {
    const store = openMemoryStore();
    await submitJob(store, systemClock, { ...SUBMISSION, keepVideo: true });
    await submitJob(store, systemClock, SUBMISSION);
    const key = keysOf(SUBMISSION.user).metadata(SUBMISSION.job);

    assert.deepEqual(Metadata.parse(await read(store, key)).options, { keep_video: true });
  });
});

const KEYS = keysOf(SUBMISSION.user);
const TICKET = KEYS.ticket("urgent", SUBMISSION.job, ItemId.parse("talk"), 1);
const STATE = KEYS.item(SUBMISSION.job, ItemId.parse("talk"));

async function read(store: ObjectStore, key: ObjectKey): Promise<unknown> {
  return JSON.parse(Buffer.from((await store.get(key)).body).toString());
}

/** A laptop that has made one artifact, or could not. */
function preparing(error: ClipscribeError | null = null): PrepareItem & { calls: Ticket[] } {
  const sha256 = sha256Of("speech");
  const made = {
    sha256,
    size: 6,
    key: KEYS.blob(sha256),
    media_type: "audio/ogg",
    file_name: null,
  };
  const calls: Ticket[] = [];
  const prepare: PrepareItem = (ticket) => {
    calls.push(ticket);
    const artifacts = error === null ? [{ name: "audio.audio", ...made }] : [];
    return Promise.resolve({ artifacts, prepared: [], stages: {}, videoKey: "sources/x", error });
  };
  return Object.assign(prepare, { calls });
}
