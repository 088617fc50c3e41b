import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";

import { describeEventQueue } from "../../ports/event-queue.contract.ts";
import { openSqliteQueue } from "./sqlite-queue.ts";

async function file(t: TestContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), "clipscribe-queue-"));
  t.after(() => rm(dir, { recursive: true, force: true }));
  return join(dir, "queue.db");
}

describeEventQueue("sqlite", async (t) => {
  let offset = 0;
  const queue = openSqliteQueue({
    file: await file(t),
    name: "batch",
    now: () => Date.now() + offset,
  });
  t.after(() => queue[Symbol.asyncDispose]());
  return { queue, pass: (ms) => void (offset += ms) };
});

describe("the queue in SQLite", () => {
  test("a waiting puller is woken by another process, long before it would look by itself", async (t) => {
    const path = await file(t);
    const queue = openSqliteQueue({ file: path, name: "urgent" });
    t.after(() => queue[Symbol.asyncDispose]());
    const waiting = queue.pull({ max: 1, visibilityMs: 1_000, waitMs: 60_000, signal: t.signal });
    const script = `import { openSqliteQueue } from ${JSON.stringify(join(import.meta.dirname, "sqlite-queue.ts"))};
      await openSqliteQueue({ file: ${JSON.stringify(path)}, name: "urgent" }).send("from afar");`;

    spawn(process.execPath, ["--input-type=module", "-e", script], { stdio: "inherit" });

    assert.equal((await waiting)[0]?.body, "from afar");
  });

  test("queues that share a file don't see each other's messages; a reopened one has its own", async (t) => {
    const path = await file(t);
    const one = openSqliteQueue({ file: path, name: "urgent" });
    const two = openSqliteQueue({ file: path, name: "batch" });
    await one.send("mine");
    await one[Symbol.asyncDispose]();

    assert.deepEqual(await two.pull({ max: 1, visibilityMs: 1_000 }), []);
    const again = openSqliteQueue({ file: path, name: "urgent" });
    assert.equal((await again.pull({ max: 1, visibilityMs: 1_000 }))[0]?.body, "mine");
    await again[Symbol.asyncDispose]();
    await two[Symbol.asyncDispose]();
  });

  test("of pullers in several processes that see the same messages, one gets each", async (t) => {
    const path = await file(t);
    const queue = openSqliteQueue({ file: path, name: "urgent" });
    t.after(() => queue[Symbol.asyncDispose]());
    const sent = Array.from({ length: 300 }, (_, at) => `message ${at}`);
    for (const body of sent) await queue.send(body);
    const script = `import { openSqliteQueue } from ${JSON.stringify(join(import.meta.dirname, "sqlite-queue.ts"))};
      const queue = openSqliteQueue({ file: ${JSON.stringify(path)}, name: "urgent" });
      for (let max = 1; ; max = 1 + (max % 7)) {
        const events = await queue.pull({ max, visibilityMs: 60_000, waitMs: 300 });
        if (events.length === 0) break;
        for (const { body, attempts } of events) console.log(body + (attempts === 1 ? "" : " again"));
        await queue.ack(events.map(({ leaseId }) => leaseId));
      }`;

    const outputs = await Promise.all(Array.from({ length: 3 }, async () => outputOf(script)));

    const got = outputs.flatMap((text) => text.trim().split("\n").filter(Boolean));
    assert.deepEqual(got.toSorted(), sent.toSorted());
  });
});

async function outputOf(script: string): Promise<string> {
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let text = "";
  child.stdout.on("data", (chunk: Buffer) => (text += chunk.toString()));
  await once(child, "close");
  return text;
}
