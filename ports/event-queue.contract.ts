/** What every EventQueue keeps. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";

import { hasKind } from "../core/errors.ts";
import { MAX_EVENT_BYTES } from "./event-queue.ts";
import type { EventQueue } from "./event-queue.ts";

export interface QueueUnderTest {
  queue: EventQueue;
  /** Moves the queue's clock on. */
  pass(ms: number): void;
}

export function describeEventQueue(
  name: string,
  open: (t: TestContext) => Promise<QueueUnderTest>,
): void {
  const pull = { max: 10, visibilityMs: 1_000 };

  describe(`EventQueue contract: ${name}`, () => {
    test("a message is leased to one puller, and comes again when its lease runs out", async (t) => {
      const { queue, pass } = await open(t);
      await queue.send("hello");

      const [first] = await queue.pull(pull);
      const hidden = await queue.pull(pull);
      pass(1_001);
      const [again] = await queue.pull(pull);

      assert.deepEqual([first?.body, first?.attempts], ["hello", 1]);
      assert.deepEqual(hidden, []);
      assert.deepEqual([again?.id, again?.attempts], [first?.id, 2]);
      assert.notEqual(again?.leaseId, first?.leaseId);
    });

    test("an acknowledged message is gone", async (t) => {
      const { queue, pass } = await open(t);
      await queue.send("hello");
      const [event] = await queue.pull(pull);

      await queue.ack([event?.leaseId ?? ""]);
      pass(10_000);

      assert.deepEqual(await queue.pull(pull), []);
    });

    test("an acknowledgement under an old lease does nothing", async (t) => {
      const { queue, pass } = await open(t);
      await queue.send("hello");
      const [old] = await queue.pull(pull);
      pass(1_001);

      await queue.ack([old?.leaseId ?? "", "never"]);

      assert.equal((await queue.pull(pull)).length, 1);
    });

    test("a message that is given back comes after its delay", async (t) => {
      const { queue, pass } = await open(t);
      await queue.send("hello");
      const [event] = await queue.pull(pull);

      await queue.retry([{ leaseId: event?.leaseId ?? "", delayMs: 2_000 }]);

      assert.deepEqual(await queue.pull(pull), []);
      pass(2_001);
      assert.equal((await queue.pull(pull)).length, 1);
    });

    test("a delayed message is not seen before its time", async (t) => {
      const { queue, pass } = await open(t);
      await queue.send("later", { delayMs: 5_000 });

      assert.deepEqual(await queue.pull(pull), []);
      pass(5_001);
      assert.equal((await queue.pull(pull)).length, 1);
    });

    test("two hundred messages are each pulled once by two pullers", async (t) => {
      const { queue } = await open(t);
      for (let at = 0; at < 200; at++) await queue.send(`${at}`);
      const seen: string[] = [];
      const drain = async (): Promise<void> => {
        for (;;) {
          const events = await queue.pull({ max: 7, visibilityMs: 60_000 });
          if (events.length === 0) return;
          seen.push(...events.map(({ body }) => body));
        }
      };

      await Promise.all([drain(), drain()]);

      assert.equal(seen.length, 200);
      assert.equal(new Set(seen).size, 200);
    });

    test("a puller that waits gets a message sent meanwhile", async (t) => {
      const { queue } = await open(t);
      const waiting = queue.pull({ ...pull, waitMs: 20_000, signal: t.signal });

      await queue.send("hello");

      assert.equal((await waiting)[0]?.body, "hello");
    });

    test("a wait ends when its signal aborts", async (t) => {
      const { queue } = await open(t);
      const abort = new AbortController();
      const waiting = queue.pull({ ...pull, waitMs: 60_000, signal: abort.signal });

      abort.abort();

      await assert.rejects(waiting, hasKind("cancelled"));
    });

    test("a message that is too large is refused", async (t) => {
      const { queue } = await open(t);

      await assert.rejects(queue.send("x".repeat(MAX_EVENT_BYTES + 1)), hasKind("contract"));
    });
  });
}
