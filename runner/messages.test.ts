import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { engineWorld } from "../bench/campaign-engine.ts";
import type { EventQueue } from "../ports/event-queue.ts";
import { openMessages } from "./messages.ts";

function open() {
  const acked: string[][] = [];
  const queue: EventQueue = {
    send: () => Promise.reject(new Error("nobody sends here")),
    pull: () => Promise.resolve([]),
    retry: () => Promise.resolve(),
    ack: (leases) => {
      acked.push([...leases]);
      return Promise.resolve();
    },
  };
  return { acked, messages: openMessages({ ...engineWorld(), queues: { urgent: queue } }) };
}

describe("acknowledgements", () => {
  test("of items that are claimed together go in one request", async () => {
    const { acked, messages } = open();

    await Promise.all([
      messages.acknowledge("urgent", ["a"]),
      messages.acknowledge("urgent", ["b", "c"]),
      messages.acknowledge("urgent", []),
    ]);
    await messages.acknowledge("urgent", ["d"]);

    assert.deepEqual(acked, [["a", "b", "c"], ["d"]]);
  });

  test("that still wait are sent when the runner ends", async () => {
    const { acked, messages } = open();
    let isSent = false;
    void messages.acknowledge("urgent", ["a"]).then(() => (isSent = true));

    await messages.settle();

    assert.deepEqual(acked, [["a"]]);
    assert.ok(isSent);
  });
});
