import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { openMemoryStore } from "../adapters/memory/memory-store.ts";
import { hasKind } from "../core/errors.ts";
import { JobId, UserId } from "../core/ids.ts";
import { keysOf } from "../core/keys.ts";
import { metered } from "../ports/metered.ts";
import { findJob } from "./find-job.ts";
import { listRecentJobs } from "./recent-jobs.ts";

const USER = UserId.parse("me");
const NOW = new Date("2026-11-25T10:00:00Z");

async function storeWith(...jobs: string[]) {
  const store = openMemoryStore();
  for (const job of jobs.map((each) => JobId.parse(each))) {
    const keys = keysOf(USER);
    await store.put(keys.metadata(job), Buffer.from("{}"), {});
    await store.put(keys.status(job), Buffer.from("{}"), {});
  }
  return store;
}

describe("the latest jobs", () => {
  test("come newest first, however far back they lie; one-offs are not among them", async () => {
    const old = ["20250101-1000-a-0001", "20261010-1000-b-0002"];
    const late = ["20261124-1000-c-0003", "20261125-0900-d-0004"];
    const store = await storeWith(...old, ...late, "run-talk-1a2b3c4d");

    const of = (count: number) => listRecentJobs(store, USER, { count, now: NOW });

    assert.deepEqual(await of(1), ["20261125-0900-d-0004"]);
    assert.deepEqual(await of(3), [...late.toReversed(), "20261010-1000-b-0002"]);
    assert.deepEqual(await of(10), [...late.toReversed(), ...old.toReversed()]);
  });

  test("cost a listing a job of the last days, not one of all there ever were", async () => {
    const years = Array.from({ length: 300 }, (_, at) => `2024${1000 + at}-1000-old-${at}`);
    const store = await storeWith(...years, "20261124-1000-c-0003", "20261125-0900-d-0004");
    const { store: counted, meter } = metered(store);

    await listRecentJobs(counted, USER, { count: 2, now: NOW });

    assert.ok(meter.lists <= 4, `${meter.lists} listings`);
  });

  test("a job is found by its id, by its beginning or end, and never by half a guess", async () => {
    const store = await storeWith("20261125-0900-talk-7f3a", "20261125-0900-talk-aaaa");
    const find = (name: string) => findJob(store, USER, name);

    assert.equal(await find("20261125-0900-talk-7f3a/"), "20261125-0900-talk-7f3a");
    assert.equal(await find("7f3a"), "20261125-0900-talk-7f3a");
    assert.equal(await find("talk-aaaa"), "20261125-0900-talk-aaaa");
    await assert.rejects(find("20261125-0900"), hasKind("missing"));
    await assert.rejects(find("f3a"), hasKind("missing"));
    await assert.rejects(find("../x"), hasKind("config"));
  });
});
