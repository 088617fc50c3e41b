import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, test } from "node:test";

import { parseObjectKey } from "../core/keys.ts";
import {
  allEnded,
  audit,
  ended,
  listenTo,
  openSmallCloud as world,
  until,
} from "../samples/small-cloud.ts";

describe("runners on a bucket with events", () => {
  test("two of them share a job; a failed item is in dead/, and replay makes a new run", async (t) => {
    const { cloud, digest, media } = await world(t);
    cloud.startRunner("one");
    cloud.startRunner("two");
    const names = ["a", "b", "c", "d", "bad", "e"];
    const job = "20261124-2200-night-7f3a";
    await cloud.submit(job, "batch", digest, media(names));
    const states = await until(allEnded(cloud, job, names), "the job's end");

    assert.deepEqual(
      states.map((state) => state?.status),
      ["complete", "complete", "complete", "complete", "failed", "complete"],
    );
    const result = await cloud.store.get(parseObjectKey(`results/me/${job}/a/out.txt`));
    assert.equal(Buffer.from(result.body).toString(), "heard: a speaks");
    // Tails follow the state.
    const balanced = await until(async () => {
      const found = await audit(cloud);
      return found.code === 0 ? found : undefined;
    }, "a balanced audit");
    assert.deepEqual(balanced.counts, { complete: 5, failed: 1 });
    const dead = await cloud.clipscribe("dead", "list");
    assert.match(dead.stdout, new RegExp(`^${job}/bad .*this medium is bad`));

    const replayed = await cloud.clipscribe(
      "replay",
      `${job}/a`,
      "--from",
      "only",
      "--pipeline",
      join(cloud.dir, "..", "none.yaml"),
    );
    assert.equal(replayed.code, 2);
  });

  test("SIGTERM lets what is under way end; a second one hands it back at once", async (t) => {
    const { cloud, digest, media } = await world(t, { ms: 2_500 });
    const patient = cloud.startRunner("patient");
    const job = "20261124-2200-drain-7f3a";
    await cloud.submit(job, "urgent", digest, media(["a"]));
    await until(
      async () => ((await cloud.readItem(job, "a"))?.status === "processing" ? true : undefined),
      "a claim",
    );
    patient.kill("SIGTERM");
    assert.equal(await ended(patient), 0);
    assert.equal((await cloud.readItem(job, "a"))?.status, "complete");

    const hasty = cloud.startRunner("hasty");
    const second = "20261124-2200-hasty-7f3a";
    await cloud.submit(second, "urgent", digest, media(["b"]));
    await until(
      async () => ((await cloud.readItem(second, "b"))?.status === "processing" ? true : undefined),
      "a claim",
    );
    hasty.kill("SIGTERM");
    await new Promise((resolve) => setTimeout(resolve, 200));
    hasty.kill("SIGTERM");
    assert.equal(await ended(hasty), 0);
    const state = await cloud.readItem(second, "b");
    assert.deepEqual([state?.status, state?.attempts], ["queued", 0]);
  });

  test("a runner that is killed, and one that sleeps past its lease, lose their item to another", async (t) => {
    const { cloud, digest, media } = await world(t, { ms: 3_000 });
    for (const signal of ["SIGKILL", "SIGSTOP"] as const) {
      const first = cloud.startRunner(`first-${signal}`);
      const job = `20261124-2200-${signal.toLowerCase()}-7f3a`;
      await cloud.submit(job, "urgent", digest, media(["a"]));
      const claimed = await until(async () => {
        const state = await cloud.readItem(job, "a");
        return state?.status === "processing" ? state : undefined;
      }, "a claim");
      first.kill(signal);
      const second = cloud.startRunner(`second-${signal}`);
      const [state] = await until(allEnded(cloud, job, ["a"]), "the end elsewhere");
      assert.equal(state?.status, "complete");
      assert.ok((state?.epoch ?? 0) > claimed.epoch);
      if (signal === "SIGSTOP") {
        // The zombie wakes, and changes nothing.
        first.kill("SIGCONT");
        await new Promise((resolve) => setTimeout(resolve, 3_500));
        assert.deepEqual(await cloud.readItem(job, "a"), state);
      }
      first.kill("SIGKILL");
      second.kill("SIGKILL");
      await Promise.all([ended(first), ended(second)]);
    }
    assert.deepEqual((await audit(cloud)).problems, []);
  });

  test("events that never come are found by the sweep, a paused queue and a lost answer are lived with", async (t) => {
    const { cloud, digest, media } = await world(t);
    await cloud.setFaults({ events: { drop: 1 }, queues: { paused: true } });
    cloud.startRunner("sweeper");
    const job = "20261124-2200-swept-7f3a";
    await cloud.submit(job, "batch", digest, media(["a"]));
    const [state] = await until(allEnded(cloud, job, ["a"]), "the sweep");

    assert.equal(state?.status, "complete");
  });

  test("a bucket without any queue is listed: two runners share a job long before a sweep", async (t) => {
    const { cloud, digest, media } = await world(t);
    const env = {
      CLIPSCRIBE_QUEUE: "poll",
      CLIPSCRIBE_POLL_MS: "200",
      // Of use to nobody here: what is found is found by the listing.
      CLIPSCRIBE_LEASE_MS: "60000",
      CLIPSCRIBE_SWEEP_MS: "3600000",
      CLOUDFLARE_API_TOKEN: "",
    };
    cloud.startRunner("one", { env });
    cloud.startRunner("two", { env });
    const names = ["a", "b", "c", "d", "bad", "e"];
    const job = "20261124-2200-polled-7f3a";
    await cloud.submit(job, "batch", digest, media(names));

    const states = await until(allEnded(cloud, job, names), "the job's end");

    assert.deepEqual(
      states.map((state) => state?.status),
      ["complete", "complete", "complete", "complete", "failed", "complete"],
    );
    // Each was claimed once: who came second left it alone.
    assert.deepEqual(
      states.map((state) => state?.epoch),
      states.map(() => 1),
    );
  });

  test("a store that does not heed conditions is refused at the start", async (t) => {
    const { cloud } = await world(t);
    await cloud.setFaults({ s3: { ignore_conditions: true } });
    const child = cloud.startRunner("careful");
    const said = listenTo(child);

    assert.equal(await ended(child), 2);
    assert.match(said(), /does not heed conditions/);
  });

  test("wrong keys, a bucket that is not there and an unset variable each say what to do", async (t) => {
    const { cloud } = await world(t);
    for (const [env, code, pattern] of [
      [{ R2_SECRET_ACCESS_KEY: "wrong" }, 8, /refuses these credentials/],
      [{ CLIPSCRIBE_STORE: "r2:elsewhere" }, 2, /there is no such bucket/],
      [{ R2_ENDPOINT: "", CLOUDFLARE_ACCOUNT_ID: "" }, 2, /R2_ENDPOINT is not set/],
      [{ CLOUDFLARE_API_TOKEN: "" }, 2, /CLOUDFLARE_API_TOKEN is not set/],
    ] as const) {
      const child = cloud.startRunner("wrong", { env });
      const said = listenTo(child);
      assert.equal(await ended(child), code, said());
      assert.match(said(), pattern);
    }
  });
});
