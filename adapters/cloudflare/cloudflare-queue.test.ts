import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";

import { hasKind } from "../../core/errors.ts";
import { openEmulator } from "../../emulator/emulator.ts";
import type { Emulator } from "../../emulator/emulator.ts";
import { describeEventQueue } from "../../ports/event-queue.contract.ts";
import { openCloudflareQueue } from "./cloudflare-queue.ts";
import type { Log } from "../../ports/log.ts";
import type { CloudflareQueueOptions } from "./cloudflare-queue.ts";
import { decodeBody } from "./message-body.ts";
import { createPollPace } from "./poll-pace.ts";

const quiet: Log = {
  with: () => quiet,
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

async function world(t: TestContext, about: Partial<CloudflareQueueOptions> = {}) {
  const dir = await mkdtemp(join(tmpdir(), "clipscribe-cloudflare-"));
  let offset = 0;
  const emulator = await openEmulator({ dir, now: () => Date.now() + offset });
  t.after(async () => {
    await emulator[Symbol.asyncDispose]();
    await rm(dir, { recursive: true, force: true });
  });
  const { address } = emulator;
  const queue = openCloudflareQueue({
    baseUrl: address.queues_base_url,
    accountId: address.account_id,
    apiToken: address.api_token,
    queueId: address.queue_urgent,
    pollMs: 500,
    operationsPerDay: null,
    log: quiet,
    ...about,
  });
  return { emulator, queue, pass: (ms: number) => void (offset += ms) };
}

async function setFaults({ address }: Emulator, faults: unknown): Promise<void> {
  await fetch(address.faults_url, { method: "PUT", body: JSON.stringify(faults) });
}

describeEventQueue("cloudflare, against the emulator", world);

describe("Cloudflare's queue", () => {
  const pull = { max: 10, visibilityMs: 1_000 };

  test("bodies are understood however they are sent", async (t) => {
    const { emulator, queue } = await world(t);
    for (const encoding of ["plain", "base64"]) {
      await setFaults(emulator, { queues: { encoding } });
      const { address } = emulator;
      const url = `${address.queues_base_url}/accounts/${address.account_id}/queues/${address.queue_urgent}/messages`;
      await fetch(url, {
        method: "POST",
        headers: { authorization: `Bearer ${address.api_token}` },
        body: JSON.stringify({ body: { action: "PutObject", key: "ü+ " } }),
      });
      const [event] = await queue.pull(pull);

      assert.deepEqual(JSON.parse(event?.body ?? ""), { action: "PutObject", key: "ü+ " });
      await queue.ack([event?.leaseId ?? ""]);
    }
    assert.equal(decodeBody({ a: 1 }), '{"a":1}');
    assert.equal(decodeBody("neither"), "neither");
  });

  test("a wrong token, a queue that is not there, and a paused one each say what to do", async (t) => {
    const { emulator, queue } = await world(t);
    const { address } = emulator;
    const like = {
      baseUrl: address.queues_base_url,
      accountId: address.account_id,
      apiToken: address.api_token,
      queueId: address.queue_urgent,
      pollMs: 500,
      operationsPerDay: null,
      log: quiet,
    };
    const wrong = openCloudflareQueue({ ...like, apiToken: "wrong" });
    const gone = openCloudflareQueue({ ...like, queueId: "nowhere" });
    await assert.rejects(wrong.pull(pull), hasKind("denied"));
    await assert.rejects(gone.pull(pull), hasKind("config"));
    await setFaults(emulator, { queues: { paused: true } });
    await assert.rejects(queue.pull(pull), { kind: "transient", message: /paused/ });
  });

  test("a queue that has no pull consumer is a matter of its set-up", async (t) => {
    const { emulator, queue } = await world(t);
    await setFaults(emulator, { queues: { no_consumer: true } });

    await assert.rejects(queue.pull(pull), {
      kind: "config",
      message: /no pull consumer/,
      hint: /clipscribe cloud apply/,
    });
  });

  test("once the day's free operations are used up, it is not asked again for an hour", async (t) => {
    const { emulator, queue } = await world(t);
    await setFaults(emulator, { queues: { spent: true } });
    await assert.rejects(queue.pull({ ...pull, waitMs: 500 }), {
      kind: "transient",
      message: /free operations/,
    });
    const asked = (): number => emulator.counts["queues:pull"] ?? 0;
    const before = asked();

    assert.deepEqual(await queue.pull({ ...pull, waitMs: 500 }), []);
    assert.equal(asked(), before);
  });

  test("a busy API is waited for as long as it says, then told as transient", async (t) => {
    const { emulator, queue } = await world(t);
    await setFaults(emulator, { queues: { "429": 1 } });
    const before = performance.now();

    await assert.rejects(queue.pull(pull), hasKind("transient"));
    assert.ok(performance.now() - before >= 900);
  });
});

describe("the pace of pulls", () => {
  test("is quick while there is work, and slows down to its longest wait", () => {
    const pace = createPollPace({ maxMs: 5_000, operationsPerDay: null, now: () => 0 });
    const waits = Array.from({ length: 8 }, () => {
      pace.pulled(0);
      return pace.next();
    });

    assert.deepEqual(waits, [200, 400, 800, 1_600, 3_200, 5_000, 5_000, 5_000]);
    pace.pulled(1);
    assert.equal(pace.next(), 100);
  });

  const MIDNIGHT = Date.parse("2026-11-24T00:00:00Z");
  const HOUR_MS = 60 * 60 * 1000;

  /** How often a pace of 10,000 operations asks in vain, begun anew at each of these hours. */
  function pullsOf(
    starts: readonly number[],
    endHour: number,
    messagesAt: () => number = () => 0,
  ): number {
    let at = MIDNIGHT;
    let pulls = 0;
    for (const [index, start] of starts.entries()) {
      at = MIDNIGHT + start * HOUR_MS;
      const end = MIDNIGHT + (starts[index + 1] ?? endHour) * HOUR_MS;
      const pace = createPollPace({ maxMs: 1_000, operationsPerDay: 10_000, now: () => at });
      while (at < end) {
        const messages = messagesAt();
        pace.pulled(messages);
        if (messages === 0) pulls++;
        at += pace.next();
      }
    }
    return pulls;
  }

  test("an idle day stays within the free plan's 10,000 operations", () => {
    const pulls = pullsOf([0], 24);

    assert.ok(pulls <= 7_100 && pulls > 6_900, `${pulls} pulls`);
  });

  test("an idle hour costs the same at any time of the day", () => {
    for (const hour of [0, 6, 12, 18, 22, 23]) {
      const pulls = pullsOf([hour], hour + 1);
      assert.ok(pulls <= 300 && pulls > 280, `${pulls} pulls from ${hour} o'clock`);
    }
  });

  test("a runner that is started again and again has no more to spend than one", () => {
    const pulls = pullsOf([0, 3, 9, 15, 21, 22, 23], 24);

    assert.ok(pulls <= 7_150, `${pulls} pulls`);
  });

  test("a thousand messages leave an idle queue its pulls; three thousand do not overdraw the day", () => {
    let messages = 0;
    const upTo = (most: number) => (): number => {
      if (messages >= most) return 0;
      messages += 10;
      return 10;
    };
    const pulls = pullsOf([8], 24, upTo(1_000));
    const left = 10_000 * (16 / 24) * 0.7;
    assert.ok(pulls > left - 200 && pulls <= left + 200, `${pulls} pulls`);

    messages = 0;
    const overdrawn = pullsOf([0], 24, upTo(3_000));
    assert.ok(3 * messages + overdrawn <= 10_000, `${overdrawn} pulls`);
  });

  test("operations that others used up are looked for once an hour, until there are some", () => {
    let at = MIDNIGHT + 20 * HOUR_MS;
    const pace = createPollPace({ maxMs: 1_000, operationsPerDay: null, now: () => at });
    pace.spent();
    assert.equal(pace.next(), HOUR_MS);
    at = MIDNIGHT + 23.75 * HOUR_MS;
    assert.equal(pace.next(), HOUR_MS / 4);
    pace.pulled(0);
    assert.ok(pace.next() <= 1_000);
  });
});
