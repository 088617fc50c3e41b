import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { openMemoryStore } from "../adapters/memory/memory-store.ts";
import { KEYS, engineWorld, submitMany } from "../bench/campaign-engine.ts";
import { ItemId, JobId } from "../core/ids.ts";
import type { Lane } from "../core/ids.ts";
import { parseObjectKey } from "../core/keys.ts";
import type { TicketAddress } from "../core/keys.ts";
import type { ObjectStore } from "../ports/object-store.ts";
import { openLiveness } from "./liveness.ts";
import { sweepOnce } from "./sweep.ts";

const { signal } = new AbortController();

/** A runner that takes on so many of each lane a pass, and then has no room for that lane. */
async function openSweeper(store: ObjectStore, room: number) {
  const world = engineWorld({ store });
  const liveness = await openLiveness(world, () => []);
  const pass = async (prefix: string | null = null): Promise<string[]> => {
    const looked: string[] = [];
    const count = (lane: Lane): number => looked.filter((each) => each.startsWith(lane)).length;
    const look = (_: string, { lane, item }: TicketAddress): boolean => {
      looked.push(`${lane} ${item}`);
      return count(lane) < room;
    };
    await sweepOnce({ world, liveness, prefix, look, minAgeMs: 0, signal });
    return looked;
  };
  return { pass, [Symbol.asyncDispose]: async () => liveness[Symbol.asyncDispose]() };
}

const all = (lane: Lane, from: number, to: number): string[] =>
  Array.from({ length: to - from }, (_, at) => `${lane} item-${from + at}`);

describe("the sweep", () => {
  test("looks at urgent tickets in each pass, however many batch tickets wait before them", async () => {
    const store = openMemoryStore();
    await submitMany(store, 9, "a-batch", "batch");
    await submitMany(store, 1, "an-urgent", "urgent");
    await using sweeper = await openSweeper(store, 4);
    const { pass } = sweeper;

    assert.deepEqual(await pass(), [...all("batch", 0, 4), "urgent item-0"]);
    assert.deepEqual(await pass(), [...all("batch", 4, 8), "urgent item-0"]);
    assert.deepEqual(await pass(), ["batch item-8", "urgent item-0"]);
    assert.deepEqual(await pass(), [...all("batch", 0, 4), "urgent item-0"]);
    assert.deepEqual(await pass("inbox/"), [...all("batch", 0, 4), "urgent item-0"]);
  });

  test("goes on with batch tickets, however many urgent ones come", async () => {
    const store = openMemoryStore();
    await submitMany(store, 2, "a-batch", "batch");
    await submitMany(store, 9, "an-urgent", "urgent");
    await using sweeper = await openSweeper(store, 4);
    const { pass } = sweeper;

    for (let again = 0; again < 3; again++) {
      assert.deepEqual(await pass(), [...all("batch", 0, 2), ...all("urgent", 0, 4)]);
    }
  });

  test("is not held up by keys that are no tickets", async () => {
    const store = openMemoryStore();
    const ticket = KEYS.ticket("batch", JobId.parse("job"), ItemId.parse("item"), 1);
    await store.put(ticket, Buffer.from("{}"));
    const strange: ObjectStore = {
      ...store,
      async *list(prefix, options) {
        for (let at = 0; prefix === "inbox/" && at < 15_000; at++) {
          const key = parseObjectKey(`inbox/batch/0/${String(at).padStart(5, "0")}`);
          if (key <= (options?.startAfter ?? "")) continue;
          yield { key, etag: "e" as never, sizeBytes: 1, modifiedAt: new Date(0) };
        }
        yield* store.list(prefix, options);
      },
    };
    await using sweeper = await openSweeper(strange, 4);
    const { pass } = sweeper;

    assert.deepEqual([await pass(), await pass()], [[], ["batch item"]]);
  });
});
