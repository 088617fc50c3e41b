import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";

import { openBatchWorld } from "../samples/batch-world.ts";

const JOB = "20261123-2041-council-meeting-7f3a";

describe("the batch commands, with runners of their own", () => {
  test("a paused job ends its stage and is held; resumed, it goes on where it was, in the next run", async (t) => {
    const { cloud, digest, media, untilStatus } = await openBatchWorld(t, { ms: 3_000 });
    await cloud.submit(JOB, "batch", digest, media("one"));
    cloud.startRunner("a");
    await untilStatus(JOB, "one", "processing");

    const paused = await cloud.clipscribe("batch", "pause", "7f3a");
    const held = await untilStatus(JOB, "one", "held", "complete");
    const status = await cloud.clipscribe("batch", "status", JOB, "--json");
    const resumed = await cloud.clipscribe("batch", "resume", JOB, "--json");
    const again = await cloud.clipscribe("batch", "resume", JOB, "--json");
    const done = await untilStatus(JOB, "one", "complete");
    await cloud.clipscribe("batch", "status", JOB, "--watch");
    const late = await cloud.clipscribe("batch", "pause", JOB);
    await cloud.clipscribe("replay", JOB);
    const replayed = await cloud.clipscribe("batch", "cancel", JOB);

    assert.equal(paused.code, 0, paused.stderr);
    assert.match(paused.stdout, /is paused/);
    assert.equal(held.status, "held");
    assert.match(held.error?.hint ?? "", /batch resume/);
    assert.deepEqual([status.code, JSON.parse(status.stdout).counts], [6, { held: 1 }]);
    const { items, before } = JSON.parse(resumed.stdout) as { items: object[]; before: string };
    assert.deepEqual([before, items], ["paused", [{ item_id: "one", run: 2 }]]);
    assert.equal(again.code, 0, again.stderr);
    assert.equal(done.run, 2);
    assert.equal(done.stages["listen"]?.state, "reused");
    assert.deepEqual([late.code, late.stdout], [0, `${JOB} has finished: nothing to pause\n`]);
    assert.match(replayed.stdout, /is cancelled/);
  });

  test("a cancelled job ends at once, and publishes nothing; resume takes it back", async (t) => {
    const { cloud, digest, media, untilStatus } = await openBatchWorld(t, { ms: 20_000 });
    await cloud.submit(JOB, "batch", digest, media("one"));
    cloud.startRunner("a");
    await untilStatus(JOB, "one", "processing");

    const { code, stderr } = await cloud.clipscribe("batch", "cancel", JOB);
    const cancelled = await untilStatus(JOB, "one", "cancelled", "complete");
    const status = await cloud.clipscribe("batch", "status", JOB);
    await cloud.clipscribe("batch", "resume", JOB);
    const next = await untilStatus(JOB, "one", "processing");

    assert.equal(code, 0, stderr);
    assert.deepEqual([cancelled.status, cancelled.manifest], ["cancelled", null]);
    assert.equal(status.code, 130);
    assert.match(status.stdout, /one +cancelled/);
    assert.equal(next.run, 2);
  });

  test("a watcher stays until all is over, and results are fetched twice, and on another device", async (t) => {
    const { dir, cloud, digest, media, untilStatus } = await openBatchWorld(t);
    await cloud.submit(JOB, "batch", digest, media("one", "bad", "two"));
    const watching = cloud.clipscribe("batch", "status", "--job-id", JOB, "--watch");
    cloud.startRunner("a");
    const watched = await watching;
    const first = await cloud.clipscribe("batch", "fetch", JOB, "--output-dir", "results");
    const folder = join(cloud.dir, "results", JOB);
    writeFileSync(join(folder, "two", "out.txt"), "my own words, longer");
    const second = await cloud.clipscribe(
      "batch",
      "fetch",
      JOB,
      "--output-dir",
      "results",
      "--json",
    );
    const other = await cloud.clipscribeAt("other-laptop", "batch", "fetch", "7f3a");
    await untilStatus(JOB, "bad", "failed");
    const listed = await cloud.clipscribe("batch", "list");

    assert.equal(watched.code, 5, watched.stderr);
    assert.match(watched.stdout, /finished: 2 complete, 1 failed/);
    assert.match(watched.stdout, /this medium is bad/);
    assert.equal(first.code, 5, first.stderr);
    assert.match(first.stdout, /2 new, 0 as they were, 1 of 3 without results/);
    assert.equal(readFileSync(join(folder, "one", "out.txt"), "utf8"), "heard: one speaks");
    const { items } = JSON.parse(second.stdout) as {
      items: { item_id: string; state: string; kept_as: string | null }[];
    };
    const states = Object.fromEntries(items.map((item) => [item.item_id, item.state]));
    assert.deepEqual(states, { one: "unchanged", two: "new" });
    const mine = items.find((item) => item.item_id === "two")?.kept_as ?? "";
    assert.equal(readFileSync(join(mine, "out.txt"), "utf8"), "my own words, longer");
    assert.equal(other.code, 5, other.stderr);
    const elsewhere = join(cloud.dir, "other-laptop", "results", JOB, "one", "out.txt");
    assert.equal(readFileSync(elsewhere, "utf8"), "heard: one speaks");
    assert.match(listed.stdout, new RegExp(`${JOB}\n  finished: 2 complete, 1 failed`));
    assert.ok(dir !== "");
  });

  test("a name that is no job says so, and what was probably meant", async (t) => {
    const { cloud, digest, media } = await openBatchWorld(t);
    await cloud.submit(JOB, "batch", digest, media("one"));

    const unknown = await cloud.clipscribe("batch", "status", JOB.replace("7f3a", "7f3b"));
    const none = await cloud.clipscribe("batch", "status");
    const bad = await cloud.clipscribe("batch", "fetch", "../x");
    const slip = await cloud.clipscribe("batch", "statsu");

    assert.deepEqual([unknown.code, none.code, bad.code, slip.code], [3, 2, 2, 2]);
    assert.match(unknown.stderr, /did you mean 20261123-2041-council-meeting-7f3a\?/);
    assert.match(slip.stderr, /Did you mean status\?/);
  });
});
