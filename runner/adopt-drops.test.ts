import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";

import { dropsFrom, openDropSources } from "../adapters/bucket-sources/drop-sources.ts";
import { openMemoryStore } from "../adapters/memory/memory-store.ts";
import { KEYS, PIPELINE, USER, engineWorld } from "../bench/campaign-engine.ts";
import { nameDrop } from "../core/bare-drop.ts";
import { sha256Of } from "../core/digest.ts";
import { ClipscribeError } from "../core/errors.ts";
import { RunnerId } from "../core/ids.ts";
import { parseObjectKey } from "../core/keys.ts";
import { ItemState, Metadata } from "../core/records.ts";
import type { EventQueue, LeasedEvent } from "../ports/event-queue.ts";
import type { ObjectInfo, ObjectStore } from "../ports/object-store.ts";
import { auditJobs } from "../sync/audit.ts";
import { openRunner } from "./runner.ts";
import type { RunnerEvent } from "./runner-events.ts";
import type { RunnerWorld } from "./world.ts";

const DROP = parseObjectKey("drops/me/Council meeting (final).MP4");
const bytes = (text: string): Uint8Array => Buffer.from(text);

/** All but the runners' records is an hour old: the sweep need not wait for an event. */
function openOldStore(): ObjectStore {
  const store = openMemoryStore();
  const age = (info: ObjectInfo): ObjectInfo =>
    info.key.startsWith("sys/")
      ? info
      : { ...info, modifiedAt: new Date(info.modifiedAt.getTime() - 3_600_000) };
  return {
    ...store,
    async head(key, options) {
      const info = await store.head(key, options);
      return info && age(info);
    },
    async *list(prefix, options) {
      for await (const info of store.list(prefix, options)) yield age(info);
    },
  };
}

function worldOf(
  t: TestContext,
  store: ObjectStore,
  more: Partial<RunnerWorld> & { queue?: EventQueue; name?: string } = {},
): { world: RunnerWorld; dir: string } {
  const dir = mkdtempSync(join(tmpdir(), "clipscribe-drops-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const { queue, name = "runner-a", ...rest } = more;
  const base = engineWorld({ store, runner: RunnerId.parse(name), ...(queue && { queue }) });
  const drops = openDropSources({ store, user: USER, dir });
  const world = {
    ...base,
    drops,
    sources: dropsFrom(drops, base.sources),
    clocks: { leaseMs: 1_000, sweepMs: 20, pollMs: 3_600_000, stallMs: 600_000 },
    ...rest,
  };
  return { world, dir };
}

/** Runs until that many items have ended. */
async function runUntilEnded(world: RunnerWorld, wanted: number): Promise<RunnerEvent[]> {
  const ended: RunnerEvent[] = [];
  const enough = Promise.withResolvers<void>();
  const listener = (event: RunnerEvent): void => {
    if (event.type !== "item-ended") return;
    ended.push(event);
    if (ended.length === wanted) enough.resolve();
  };
  await using _runner = await openRunner(
    { ...world, listener },
    { sweepPrefix: null, accepts: () => true },
  );
  await enough.promise;
  return ended;
}

async function jobOf(store: ObjectStore, key = DROP) {
  const drop = await store.head(key);
  assert.ok(drop);
  return nameDrop(drop);
}

async function readJson(store: ObjectStore, key: Parameters<ObjectStore["get"]>[0]) {
  return JSON.parse(Buffer.from((await store.get(key)).body).toString("utf8")) as unknown;
}

const keysUnder = async (store: ObjectStore, prefix: string): Promise<string[]> => {
  const keys: string[] = [];
  for await (const { key } of store.list(prefix)) keys.push(key);
  return keys;
};

describe("a bare drop", () => {
  test("becomes a job of one item, is read where it lies, and stays there", async (t) => {
    const store = openOldStore();
    const { world, dir } = worldOf(t, store);
    await store.put(DROP, bytes("a meeting"));

    await runUntilEnded(world, 1);

    const { job, item } = await jobOf(store);
    assert.match(job, /^\d{8}-\d{4}-council-meeting-final-[0-9a-f]{8}$/);
    const state = ItemState.parse(await readJson(store, KEYS.item(job, item)));
    assert.equal(state.status, "complete");
    assert.equal(state.input?.lane, "batch");
    assert.equal(state.input.source.sha256, sha256Of("a meeting"));
    assert.equal(state.input.source.filename, "Council meeting (final).MP4");
    assert.deepEqual(await readJson(store, KEYS.result(job, item, "one.json")), { n: 9 });
    assert.equal(Buffer.from((await store.get(DROP)).body).toString(), "a meeting");
    assert.deepEqual(await keysUnder(store, "inbox/"), []);
    const [kept = ""] = readdirSync(dir);
    assert.equal(readFileSync(join(dir, kept), "utf8"), "a meeting");
    const audit = await auditJobs(store, USER, null, PIPELINE.accept);
    assert.deepEqual([audit.counts, audit.problems], [{ complete: 1 }, []]);
  });

  test("is one job, however many runners hear of it and however often", async (t) => {
    const store = openOldStore();
    await store.put(DROP, bytes("a meeting"));
    const { etag } = (await store.head(DROP)) ?? {};
    const body = JSON.stringify({ action: "PutObject", object: { key: DROP, eTag: etag } });
    const messages: LeasedEvent[] = Array.from({ length: 100 }, (_, at) => ({
      id: String(at),
      leaseId: `lease-${at}`,
      body,
      attempts: 1,
    }));
    const acked = new Set<string>();
    const ended: string[] = [];
    const all = Promise.withResolvers<void>();
    const check = (): void => {
      if (ended.length > 0 && acked.size === 100) all.resolve();
    };
    const queue: EventQueue = {
      send: () => Promise.resolve(),
      async pull({ max, signal }) {
        const taken = messages.splice(0, max);
        if (taken.length > 0) return taken;
        await new Promise((resolve) => signal?.addEventListener("abort", resolve));
        return [];
      },
      async ack(leases) {
        for (const lease of leases) acked.add(lease);
        check();
      },
      retry: () => Promise.resolve(),
    };
    const worlds = ["runner-a", "runner-b", "runner-c"].map(
      (name) => worldOf(t, store, { queue, name }).world,
    );
    const scope = { sweepPrefix: null, accepts: () => true };
    const listener = (event: RunnerEvent): void => {
      if (event.type === "item-ended") ended.push(event.job_id);
      check();
    };
    const runners = await Promise.all(
      worlds.map(async (world) => openRunner({ ...world, listener }, scope)),
    );
    await all.promise;
    await Promise.all(runners.map(async (runner) => runner[Symbol.asyncDispose]()));

    const { job, item } = await jobOf(store);
    assert.deepEqual(new Set(ended), new Set([job]));
    assert.equal(ItemState.parse(await readJson(store, KEYS.item(job, item))).run, 1);
    const records = (await keysUnder(store, "jobs/me/")).filter((key) => !key.includes("/logs/"));
    assert.deepEqual(records, [KEYS.item(job, item), KEYS.metadata(job), KEYS.status(job)]);
  });

  test("is a job in the end, wherever its runner died on the way", async (t) => {
    const died: number[] = [];
    for (let lives = 2; lives < 16; lives++) {
      const store = openOldStore();
      await store.put(DROP, bytes("a meeting"));
      const mortal = dyingAfter(store, lives);
      const claimed = Promise.withResolvers<void>();
      const { world } = worldOf(t, mortal.store, { name: "mortal" });
      const runner = await openRunner(
        {
          ...world,
          listener({ type }) {
            if (type !== "item-claimed") return;
            mortal.kill();
            claimed.resolve();
          },
        },
        { sweepPrefix: null, accepts: () => true },
      );
      await Promise.race([mortal.died.then(() => died.push(lives)), claimed.promise]);
      await runner[Symbol.asyncDispose]();
      await runUntilEnded(worldOf(t, store, { name: "heir" }).world, 1);
      const { job, item } = await jobOf(store);
      assert.equal(ItemState.parse(await readJson(store, KEYS.item(job, item))).status, "complete");
    }
    assert.ok(died.length > 5, `it died on the way only ${died.length} times`);
  });

  test("that is replaced while it is read is the job of the version that is there", async (t) => {
    const store = openOldStore();
    await store.put(DROP, bytes("the first version"));
    const { job: first } = await jobOf(store);
    let isReplaced = false;
    const racing: ObjectStore = {
      ...store,
      async getStream(key, options) {
        if (key === DROP && !isReplaced) {
          isReplaced = true;
          await store.put(DROP, bytes("the second, longer version"));
        }
        return store.getStream(key, options);
      },
    };

    await runUntilEnded(worldOf(t, racing).world, 1);

    const { job, item } = await jobOf(store);
    assert.notEqual(job, first);
    const state = ItemState.parse(await readJson(store, KEYS.item(job, item)));
    assert.equal(state.input?.source.sha256, sha256Of("the second, longer version"));
    assert.deepEqual(await keysUnder(store, `jobs/me/${first}/`), []);
  });

  test("that is replaced before another machine reads it holds the item, and is a job anew", async (t) => {
    const store = openOldStore();
    await store.put(DROP, bytes("the first version"));
    const old = await jobOf(store);
    const patient = worldOf(t, store);
    // As a runner that made the job and died before it began.
    const metadata = await adoptOnly(patient.world);
    rmSync(patient.dir, { recursive: true });
    await store.put(DROP, bytes("the second version"));

    const ended = await runUntilEnded(worldOf(t, store, { name: "other" }).world, 2);

    const states = ended.map((event) => event.type === "item-ended" && event.status);
    assert.deepEqual(
      states.map(String).toSorted((a, b) => a.localeCompare(b)),
      ["complete", "held"],
    );
    const state = ItemState.parse(await readJson(store, KEYS.item(old.job, old.item)));
    assert.match(state.error?.message ?? "", /^the dropped file was replaced or removed/);
    assert.match(state.error?.hint ?? "", /under a name of its own/);
    assert.equal(metadata.job_id, old.job);
  });

  test("with a hostile name stays inside, and one that is no medium is left alone", async (t) => {
    const store = openOldStore();
    const hostile = [
      "drops/me/-rf $(touch pwned).mp4",
      "drops/me/<svg onload=alert(1)>.mp4",
      "drops/me/sub folder/CON.mp4",
      "drops/me/會議 – ünïcode ￼.mp4",
      `drops/me/${"long".repeat(200)}.mp4`,
    ];
    const others = ["drops/me/notes.txt", "drops/me/.mp4", "drops/me/folder/", "drops/other/x.mp4"];
    for (const key of [...hostile, ...others]) await store.put(key as typeof DROP, bytes(key));

    await runUntilEnded(worldOf(t, store).world, hostile.length);

    const keys = await keysUnder(store, "");
    for (const key of keys.filter((each) => /^(?:jobs|results)\//.test(each))) {
      assert.match(key, /^(?:jobs|results)\/me\/\d{8}-\d{4}-[a-z0-9-]+-[0-9a-f]{8}\/[\w./-]+$/);
    }
    const audit = await auditJobs(store, USER, null, PIPELINE.accept);
    assert.deepEqual([audit.counts, audit.problems], [{ complete: hostile.length }, []]);
    for (const key of others) assert.ok(keys.includes(key));
  });

  test("of the same bytes as another is an item of its own, and works on them once", async (t) => {
    const store = openOldStore();
    await store.put(DROP, bytes("same"));
    await store.put(parseObjectKey("drops/me/again.mp4"), bytes("same"));

    await runUntilEnded(worldOf(t, store).world, 2);

    const entries = await keysUnder(store, "cache/");
    assert.equal(entries.length, 1);
    assert.equal(
      (await keysUnder(store, "results/")).filter((key) => /one\.json/.test(key)).length,
      2,
    );
  });
});

/** A store that answers so many reads and writes of the job, and then never again. */
function dyingAfter(
  store: ObjectStore,
  lives: number,
): { store: ObjectStore; died: Promise<void>; kill: () => void } {
  const { promise: died, resolve: die } = Promise.withResolvers<void>();
  let left = lives;
  const mortal: Record<string, unknown> = {};
  for (const method of ["head", "get", "getStream", "put"] as const) {
    const original = store[method] as (key: string, ...rest: unknown[]) => Promise<unknown>;
    mortal[method] = async (key: string, ...rest: unknown[]): Promise<unknown> => {
      if (!key.startsWith("sys/") && left-- <= 0) {
        die();
        throw new ClipscribeError("transient", "the store does not answer");
      }
      return original(key, ...rest);
    };
  }
  return { store: { ...store, ...mortal }, died, kill: () => void (left = 0) };
}

/** Lets a runner without slots for work make the job. */
async function adoptOnly(world: RunnerWorld): Promise<Metadata> {
  await using _runner = await openRunner(
    { ...world, items: 0 },
    { sweepPrefix: null, accepts: () => true },
  );
  for (;;) {
    for (const key of await keysUnder(world.store, "inbox/")) {
      const [, , , job = ""] = key.split("/");
      return Metadata.parse(
        await readJson(world.store, parseObjectKey(`jobs/me/${job}/metadata.json`)),
      );
    }
    await world.clock.sleep(10);
  }
}
