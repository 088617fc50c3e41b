import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";

import { openMemoryStore } from "../adapters/memory/memory-store.ts";
import { openSqliteQueue } from "../adapters/sqlite/sqlite-queue.ts";
import { engineWorld, submit } from "../bench/campaign-engine.ts";
import { ClipscribeError } from "../core/errors.ts";
import type { EventQueue } from "../ports/event-queue.ts";
import { formatTicketEvent } from "./object-event.ts";
import { openRunner } from "./runner.ts";
import type { RunnerWorld } from "./world.ts";

const PATIENCE_MS = 10_000;

/** A runner that hears by its queue alone, of a queue that refuses it until it is mended. */
async function world(t: TestContext) {
  const dir = mkdtempSync(join(tmpdir(), "clipscribe-lane-"));
  const queue = openSqliteQueue({ file: join(dir, "queue.db"), name: "urgent" });
  let isMended = false;
  const refusing: EventQueue = {
    ...queue,
    async pull(options) {
      if (isMended) return queue.pull(options);
      throw new ClipscribeError("config", "the queue has no pull consumer", { hint: "make one" });
    },
  };
  const store = openMemoryStore();
  const said: string[] = [];
  const slept = Promise.withResolvers<number>();
  const later = Promise.withResolvers<void>();
  const over = Promise.withResolvers<string>();
  const base = engineWorld({ store, queue: refusing });
  const note = (text: string): void => void said.push(text);
  const noted: RunnerWorld = {
    ...base,
    // The sweep is far away: what is heard is heard by the queue.
    clocks: { ...base.clocks, sweepMs: 3_600_000 },
    log: { ...base.log, error: note, info: note },
    clock: {
      ...base.clock,
      async sleep(ms, signal) {
        if (ms !== 600_000) return base.clock.sleep(ms, signal);
        slept.resolve(ms);
        return later.promise;
      },
    },
    listener: (event) => event.type === "item-ended" && over.resolve(event.status),
  };
  const runner = await openRunner(noted, { sweepPrefix: "inbox/", accepts: () => true });
  t.after(async () => {
    later.resolve();
    await runner[Symbol.asyncDispose]();
    await queue[Symbol.asyncDispose]();
    rmSync(dir, { recursive: true, force: true });
  });
  const mend = (): void => {
    isMended = true;
    later.resolve();
  };
  return { store, queue, said, mend, asleep: slept.promise, outcome: over.promise };
}

describe("a lane whose queue refuses its runner", () => {
  test(
    "says so once, and is asked again ten minutes later",
    { timeout: PATIENCE_MS },
    async (t) => {
      const { store, queue, said, mend, asleep, outcome } = await world(t);
      await asleep;
      assert.deepEqual(said, ["the queue refuses this runner: it goes on by the sweep alone"]);

      mend();
      await queue.send(formatTicketEvent(await submit(store), new Date()));

      assert.equal(await outcome, "complete");
      assert.ok(said.includes("the queue answers again"));
    },
  );
});
