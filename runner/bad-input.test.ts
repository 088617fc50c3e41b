import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { openMemoryStore } from "../adapters/memory/memory-store.ts";
import {
  ITEM,
  JOB,
  KEYS,
  engineWorld,
  submit,
  submitMany,
  ticketOf,
} from "../bench/campaign-engine.ts";
import { ItemId, JobId } from "../core/ids.ts";
import { queueItem } from "../core/item-state.ts";
import { parseObjectKey } from "../core/keys.ts";
import type { EventQueue, LeasedEvent } from "../ports/event-queue.ts";
import type { ObjectInfo, ObjectStore } from "../ports/object-store.ts";
import { openLiveness } from "./liveness.ts";
import { openRunner } from "./runner.ts";
import type { Runner } from "./runner.ts";
import type { RunnerEvent } from "./runner-events.ts";
import { sweepOnce } from "./sweep.ts";
import type { RunnerWorld } from "./world.ts";

const everything = { sweepPrefix: null, accepts: () => true };
const TICKET = KEYS.ticket("urgent", JOB, ITEM, 1);
const json = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value));

/** A queue that gives out these messages once, and notes what became of each. */
function queueOf(bodies: readonly string[]) {
  const fate = new Map<string, "acknowledged" | "given back">();
  let left: LeasedEvent[] = bodies.map((body, at) => ({
    id: `${at}`,
    leaseId: `${at}`,
    body,
    attempts: 1,
  }));
  const queue: EventQueue = {
    send: () => Promise.resolve(),
    async pull({ signal, max }) {
      const taken = left.slice(0, max);
      left = left.slice(max);
      if (taken.length > 0) return taken;
      await new Promise((resolve) => signal?.addEventListener("abort", resolve));
      return [];
    },
    async ack(leases) {
      for (const lease of leases) fate.set(lease, "acknowledged");
    },
    async retry(leases) {
      for (const { leaseId } of leases) fate.set(leaseId, "given back");
    },
  };
  return { queue, fate };
}

const event = (key: string, more: object = {}): string =>
  JSON.stringify({ action: "PutObject", object: { key, ...more } });

interface Watched {
  runner: Runner;
  events: RunnerEvent[];
  lines: string[];
}

async function open(store: ObjectStore, more: Partial<RunnerWorld> = {}): Promise<Watched> {
  const events: RunnerEvent[] = [];
  const lines: string[] = [];
  const base = engineWorld({ store });
  const say = (message: string): void => void lines.push(message);
  const log = { ...base.log, info: say, warn: say, error: say };
  const world = { ...base, log, listener: (each: RunnerEvent) => events.push(each), ...more };
  return { runner: await openRunner(world, everything), events, lines };
}

async function until(isSo: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (let look = 0; look < 1_500; look++) {
    if (await isSo()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.fail(`${what} did not happen`);
}

async function keysUnder(store: ObjectStore, prefix: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list(prefix)) keys.push(key);
  return keys;
}

const statusOf = async (store: ObjectStore): Promise<string> => {
  const { body } = await store.get(KEYS.item(JOB, ITEM));
  return (JSON.parse(Buffer.from(body).toString("utf8")) as { status: string }).status;
};

describe("a ticket whose bytes are damaged on their way", () => {
  test("is not taken away: it is read again, and its item is worked on", async () => {
    const memory = openMemoryStore();
    const ticket = await submit(memory);
    let reads = 0;
    const get = async (...call: Parameters<typeof memory.get>) => {
      const found = await memory.get(...call);
      if (call[0] !== ticket || reads++ > 0) return found;
      return { ...found, body: Buffer.from(found?.body ?? "").fill("?", 0, 1) };
    };
    const store: ObjectStore = { ...memory, get: get as ObjectStore["get"] };
    const { runner, events } = await open(store);
    runner.hint(ticket);
    await until(() => events.some(({ type }) => type === "item-ended"), "its end");
    await runner[Symbol.asyncDispose]();

    assert.equal(await statusOf(memory), "complete");
    assert.deepEqual(await keysUnder(memory, "sys/poison/"), []);
  });
});

describe("a ticket that lies", () => {
  const lies: Record<string, Uint8Array> = {
    "is not JSON": Buffer.from("not a ticket"),
    "is empty": new Uint8Array(),
    "names another user than its key": json({ ...ticketOf(), user: "someone-else" }),
    "names another item than its key": json({ ...ticketOf(), item_id: "other" }),
    "climbs out of its folder": json({ ...ticketOf(), item_id: "../../x" }),
  };
  for (const [lie, body] of Object.entries(lies)) {
    test(`because it ${lie}, is put aside once, and ends nothing else`, async () => {
      const store = openMemoryStore();
      await submit(store);
      await store.put(TICKET, body);
      const [good] = await submitMany(store, 1);
      const { runner, events, lines } = await open(store);
      runner.hint(TICKET);
      await until(async () => (await store.head(TICKET)) === undefined, "its removal");
      runner.hint(good ?? "");
      await until(() => events.some(({ type }) => type === "item-ended"), "the other's end");
      await runner[Symbol.asyncDispose]();

      const [kept = "", ...more] = await keysUnder(store, "sys/poison/");
      assert.deepEqual(more, []);
      const record = JSON.parse(
        Buffer.from((await store.get(parseObjectKey(kept))).body).toString("utf8"),
      ) as { from: string; text: string };
      assert.equal(record.from, `ticket ${TICKET}`);
      assert.equal(record.text, Buffer.from(body).toString("utf8"));
      assert.equal(lines.filter((line) => line.includes("unreadable")).length, 1);
      assert.equal(await statusOf(store), "queued");
    });
  }

  test("because it is of a version to come, is said once and left to who knows it", async () => {
    const store = openMemoryStore();
    await submit(store);
    const body = json({ ...ticketOf(), schema: 2, mood: "new" });
    await store.put(TICKET, body);

    const said = await hearTrouble(store);

    assert.equal(said.length, 1);
    assert.match(String(said[0]), /^a ticket was written by a newer version/);
    assert.ok(Buffer.from(body).equals((await store.get(TICKET)).body));
    assert.deepEqual(await keysUnder(store, "sys/poison/"), []);
  });

  test("because it is far too large, is said once and left where it is", async () => {
    const store = openMemoryStore();
    await submit(store);
    await store.put(TICKET, json({ ...ticketOf(), info: { file_name: "x".repeat(1_000_000) } }));

    const said = await hearTrouble(store);

    assert.equal(said.length, 1);
    assert.match(String(said[0]), /^a ticket is too large to be one/);
    assert.ok(await store.head(TICKET));
  });

  test("because its artifact is missing, or is not what its hash says, holds the item", async () => {
    for (const there of [null, "other bytes"]) {
      const store = openMemoryStore();
      await submit(store);
      const sha256 = ticketOf().source.sha256;
      const key = KEYS.blob(sha256);
      if (there !== null) await store.put(key, Buffer.from(there));
      const artifacts = [{ name: "sidecar:a.srt", sha256, size: 11, key }];
      const lying = { ...ticketOf(), artifacts };
      await store.put(TICKET, json(lying));
      const { runner, events } = await open(store, readingSidecars());
      runner.hint(TICKET);
      await until(() => events.some(({ type }) => type === "item-ended"), "the end");
      await runner[Symbol.asyncDispose]();

      const [end] = events.filter((each) => each.type === "item-ended");
      assert.equal(end?.status, "held");
      assert.match(end?.error?.message ?? "", /^an artifact is gone/);
      assert.deepEqual(await keysUnder(store, "results/"), []);
    }
  });

  test("because its run is over, is deleted, and changes nothing", async () => {
    const store = openMemoryStore();
    await submit(store);
    const state = { ...queueItem(ticketOf(3), new Date()), status: "complete" as const };
    await store.put(KEYS.item(JOB, ITEM), json(state));
    const { runner, events } = await open(store);
    runner.hint(TICKET);
    await until(async () => (await store.head(TICKET)) === undefined, "its removal");
    await runner[Symbol.asyncDispose]();

    assert.deepEqual(events, []);
    assert.equal(await statusOf(store), "complete");
  });
});

describe("what is in the bucket", () => {
  test("a state by a newer version is not touched, and said once", async () => {
    const store = openMemoryStore();
    await submit(store);
    const newer = json({ ...queueItem(ticketOf(), new Date()), schema: 2 });
    await store.put(KEYS.item(JOB, ITEM), newer);

    const said = await hearTrouble(store);

    assert.equal(said.length, 1);
    assert.match(String(said[0]), /^an item's state was written by a newer version/);
    assert.ok(Buffer.from(newer).equals((await store.get(KEYS.item(JOB, ITEM))).body));
    assert.ok(await store.head(TICKET));
  });

  test("100,000 tickets are swept a bounded part a pass, each of them within a few passes", async () => {
    const count = 100_000;
    const { store, listed } = endless(count);
    const world = engineWorld({ store });
    await using liveness = await openLiveness(world, () => []);
    const seen = new Set<string>();
    const { signal } = new AbortController();
    let passes = 0;
    for (; seen.size < count && passes < 100; passes++) {
      const before = { seen: seen.size, listed: listed() };
      const look = (key: string): boolean => seen.add(key).size > 0;
      await sweepOnce({ world, liveness, prefix: null, look, signal });
      assert.ok(seen.size - before.seen <= 2_000);
      assert.ok(listed() - before.listed <= 10_001);
    }
    assert.deepEqual([seen.size, passes], [count, 50]);
  });
});

describe("a message", () => {
  test("that is malformed, huge, of an unknown version or not ours is put aside, and the next is heard", async () => {
    const store = openMemoryStore();
    await submit(store);
    const bodies = [
      "not JSON",
      JSON.stringify({ version: "99", payload: {} }),
      `"${"x".repeat(128_000)}"`,
      event("somebody/elses/object.txt"),
      event(`inbox/urgent/me/../../${JOB}/x.1.json`),
      JSON.stringify({ action: "DeleteObject", object: { key: TICKET } }),
      event(TICKET),
    ];
    const { queue, fate } = queueOf(bodies);
    const { runner, events } = await open(store, { queues: { urgent: queue } });
    await until(() => events.some(({ type }) => type === "item-ended"), "the good one's end");
    await until(() => fate.size === bodies.length, "all acknowledgements");
    await runner[Symbol.asyncDispose]();

    assert.deepEqual(new Set(fate.values()), new Set(["acknowledged"]));
    assert.equal((await keysUnder(store, "sys/poison/")).length, 3);
  });

  test("of a ticket or drop that is not there, or no longer that version, is acknowledged once", async () => {
    const store = openMemoryStore();
    const gone = KEYS.ticket("urgent", JobId.parse("gone"), ItemId.parse("item"), 1);
    const { queue, fate } = queueOf([
      event(gone, { eTag: "old" }),
      event("drops/me/gone.mp4", { eTag: "old" }),
    ]);
    const { runner, events } = await open(store, { queues: { urgent: queue } });
    await until(() => fate.size === 2, "both acknowledgements");
    await runner[Symbol.asyncDispose]();

    assert.deepEqual([...fate.values()], ["acknowledged", "acknowledged"]);
    assert.deepEqual(events, []);
  });

  test("that comes a hundred times, and again when all is over, is one claim", async () => {
    const store = openMemoryStore();
    await submit(store);
    const { queue, fate } = queueOf(Array.from({ length: 100 }, () => event(TICKET)));
    const { runner, events } = await open(store, { queues: { urgent: queue } });
    await until(() => fate.size === 100, "all to be answered");
    await until(async () => (await store.head(TICKET)) === undefined, "the end");
    const late = queueOf([event(TICKET)]);
    await runner[Symbol.asyncDispose]();
    const second = await open(store, { queues: { urgent: late.queue } });
    await until(() => late.fate.size === 1, "the late answer");
    await second.runner[Symbol.asyncDispose]();

    const claims = [...events, ...second.events].filter(({ type }) => type === "item-claimed");
    assert.equal(claims.length, 1);
    assert.equal(late.fate.get("0"), "acknowledged");
  });
});

/** Stages that bring every sidecar of the item. */
function readingSidecars(): Partial<RunnerWorld> {
  const base = engineWorld();
  const pipeline = base.pipelines.current();
  const reading = {
    ...pipeline,
    stages: pipeline.stages.map((stage) => ({
      ...stage,
      inputs: {
        ...stage.inputs,
        sidecars: { from: "built-in" as const, name: "sidecars" as const },
      },
    })),
  };
  return { pipelines: { current: () => reading, find: () => Promise.resolve(reading) } };
}

/** A bucket that lists so many tickets without holding them. */
function endless(count: number): { store: ObjectStore; listed: () => number } {
  const memory = openMemoryStore();
  const keyOf = (at: number) =>
    parseObjectKey(`inbox/batch/me/job/item-${String(at).padStart(6, "0")}.1.json`);
  let listed = 0;
  return {
    listed: () => listed,
    store: {
      ...memory,
      async *list(prefix, options = {}): AsyncGenerator<ObjectInfo> {
        if (prefix !== "inbox/") return yield* memory.list(prefix, options);
        const from = Number(/item-(\d+)/.exec(options.startAfter ?? "")?.[1] ?? -1) + 1;
        for (let at = from; at < count; at++) {
          listed++;
          const etag = "e" as ObjectInfo["etag"];
          yield { key: keyOf(at), etag, sizeBytes: 1, modifiedAt: new Date(0) };
        }
      },
    },
  };
}

/** What is said of the ticket, however often it is heard of. */
async function hearTrouble(store: ObjectStore): Promise<(string | false)[]> {
  const { runner, events } = await open(store, {
    clocks: { leaseMs: 1_000, sweepMs: 20, pollMs: 3_600_000, stallMs: 600_000 },
  });
  runner.hint(TICKET);
  await until(() => events.length > 0, "the trouble");
  for (let again = 0; again < 5; again++) runner.hint(TICKET);
  await new Promise((resolve) => setTimeout(resolve, 200));
  await runner[Symbol.asyncDispose]();
  return events.map((each) => each.type === "item-troubled" && each.error.message);
}
