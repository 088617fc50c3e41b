import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { openMemoryStore } from "../adapters/memory/memory-store.ts";
import { systemClock } from "../adapters/system/system-clock.ts";
import { sha256Of } from "../core/digest.ts";
import { ItemId, JobId, UserId } from "../core/ids.ts";
import { ItemInfo } from "../core/records.ts";
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
});
