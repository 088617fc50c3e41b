import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { openMemoryStore } from "../adapters/memory/memory-store.ts";
import { engineWorld } from "../bench/campaign-engine.ts";
import { sha256Of } from "../core/digest.ts";
import { ClipscribeError } from "../core/errors.ts";
import type { ErrorKind } from "../core/errors.ts";
import { JobId, UserId } from "../core/ids.ts";
import { keysOf } from "../core/keys.ts";
import { OutboxMessage } from "../core/message-records.ts";
import type { Delivery } from "../core/message-records.ts";
import type { Clock } from "../ports/clock.ts";
import { failing } from "../ports/failing.ts";
import type { Message, Notifier } from "../ports/notifier.ts";
import type { ObjectStore } from "../ports/object-store.ts";
import { MAX_SEND_ATTEMPTS, openOutbox } from "./outbox.ts";
import type { NewMessage, Outbox } from "./outbox.ts";
import { forgetGone } from "./send-message.ts";

const USER = UserId.parse("me");
const JOB = JobId.parse("20261124-2200-talks-7f3a");
const keys = keysOf(USER);
const URL_OF = "https://example.org/hook";

/** Receives, or fails in the kinds that it is given, one a message. */
function receiver(channel: Notifier["channel"], failures: (ErrorKind | null)[] = []) {
  const received: Message[] = [];
  let tries = 0;
  const notifier: Notifier = {
    channel,
    async send(message) {
      tries++;
      const kind = failures.shift() ?? null;
      if (kind !== null) throw new ClipscribeError(kind, `it failed: ${kind}`);
      received.push(message);
    },
  };
  return { notifier, received, tries: () => tries };
}

function waiting(channel: Delivery["channel"], to: string | null): Delivery {
  return { channel, to, state: "waiting", at: null, error: null };
}

function message(text: string, deliveries: Delivery[] = [waiting("webhook", URL_OF)]): NewMessage {
  const body = JSON.stringify({ text });
  return { id: sha256Of(text), job: JOB, subject: "s", text, html: text, body, deliveries };
}

interface Opened {
  outbox: Outbox;
  clock: Clock & { pass(ms: number): void };
}

function open(
  store: ObjectStore,
  notifiers: Notifier[],
  {
    runner = "runner-a",
    living = [] as string[],
    clock = stoppedClock(),
    offMs = 0,
    slept = false,
  } = {},
): Opened {
  const base = engineWorld({ store, runner });
  const outbox = openOutbox({
    world: {
      ...base,
      clock: { ...clock, now: () => new Date(clock.now().getTime() + offMs) },
      mail: {
        ...base.mail,
        notifiers: Object.fromEntries(notifiers.map((each) => [each.channel, each])),
      },
    },
    keys,
    liveness: {
      isAlive: async (id) => living.includes(id),
      assertAlive: () => {
        if (slept) throw new ClipscribeError("conflict", "this runner was taken for dead");
      },
      lost: new AbortController().signal,
      storeNow: () => clock.now(),
    },
    sweeps: false,
  });
  return { outbox, clock };
}

function stoppedClock(): Clock & { pass(ms: number): void } {
  let ms = Date.parse("2026-11-25T06:00:00Z");
  return {
    now: () => new Date(ms),
    monotonicMs: () => ms,
    sleep: () => Promise.resolve(),
    pass: (by) => void (ms += by),
  };
}

async function listed(store: ObjectStore, prefix: string): Promise<string[]> {
  const found: string[] = [];
  for await (const { key } of store.list(prefix)) found.push(key);
  return found;
}

async function readMessage(
  store: ObjectStore,
  key: Parameters<ObjectStore["get"]>[0],
): Promise<OutboxMessage> {
  const { body } = await store.get(key);
  return OutboxMessage.parse(JSON.parse(Buffer.from(body).toString("utf8")));
}

describe("the outbox", () => {
  test("a message is sent at once, and what became of it is kept out of the outbox", async () => {
    const store = openMemoryStore();
    const hook = receiver("webhook");
    const { outbox } = open(store, [hook.notifier]);

    await outbox.put(message("one"));
    await outbox[Symbol.asyncDispose]();

    assert.deepEqual(
      hook.received.map(({ id }) => id),
      [sha256Of("one")],
    );
    assert.deepEqual(await listed(store, "outbox/"), []);
    const kept = await readMessage(store, keys.message(JOB, sha256Of("one")));
    assert.deepEqual(
      kept.deliveries.map(({ state, to, at }) => [state, to, at]),
      [["sent", URL_OF, "2026-11-25T06:00:00.000Z"]],
    );
  });

  test("put again after it was sent, it is not sent again", async () => {
    const store = openMemoryStore();
    const hook = receiver("webhook");
    const first = open(store, [hook.notifier]);
    await first.outbox.put(message("one"));
    await first.outbox[Symbol.asyncDispose]();

    const second = open(store, [hook.notifier], { runner: "runner-b" });
    await second.outbox.put(message("one"));
    await second.outbox.sendAll(true);
    await second.outbox[Symbol.asyncDispose]();

    assert.equal(hook.received.length, 1);
  });

  test("when it is to be sent again is told by the store's time, whatever a runner's own clock says", async () => {
    const store = openMemoryStore();
    const hook = receiver("webhook", ["transient"]);
    const clock = stoppedClock();
    const ahead = open(store, [hook.notifier], { clock, offMs: 3_600_000 });
    await ahead.outbox.put(message("one"));
    await ahead.outbox[Symbol.asyncDispose]();
    const other = open(store, [hook.notifier], { clock, runner: "runner-b" });

    assert.deepEqual(await other.outbox.sendAll(), { sent: 0, waiting: 1, refused: 0 });
    clock.pass(2_000);
    assert.deepEqual(await other.outbox.sendAll(), { sent: 1, waiting: 0, refused: 0 });
  });

  test("trouble that may pass is waited out, longer each time, under the same id", async () => {
    const store = openMemoryStore();
    const hook = receiver("webhook", ["transient", "denied", "config"]);
    const { outbox, clock } = open(store, [hook.notifier]);
    await outbox.put(message("one"));
    await outbox.settle();
    const waits: number[] = [];
    for (let round = 0; round < 3; round++) {
      const [key] = await listed(store, "outbox/");
      const { not_before: at } = await readMessage(store, key as ReturnType<typeof keys.outboxes>);
      waits.push(Date.parse(at ?? "") - clock.now().getTime());

      await outbox.sendAll();
      clock.pass((waits.at(-1) ?? 0) + 1);
      await outbox.sendAll();
    }

    assert.deepEqual(
      hook.received.map(({ id }) => id),
      [sha256Of("one")],
    );
    assert.equal(hook.tries(), 4);
    assert.deepEqual(waits, [750, 1_500, 3_000]);
  });

  test("of two runners one sends, and a dead one's message is taken over", async () => {
    const store = openMemoryStore();
    const never = receiver("webhook");
    const stuck: Notifier = { channel: "webhook", send: () => new Promise(() => undefined) };
    void open(store, [stuck], { runner: "runner-dead" }).outbox.put(message("one"));
    await untilListed(store, "outbox/");

    const respects = open(store, [never.notifier], { runner: "runner-b", living: ["runner-dead"] });
    await respects.outbox.sendAll(true);
    const hook = receiver("webhook");
    const takes = open(store, [hook.notifier], { runner: "runner-c" });
    const report = await takes.outbox.sendAll(true);

    assert.equal(never.tries(), 0);
    assert.deepEqual(report, { sent: 1, waiting: 0, refused: 0 });
    assert.equal(hook.received[0]?.id, sha256Of("one"));
  });

  test("a runner that slept past its lease sends nothing, and the next one sends it", async () => {
    const store = openMemoryStore();
    const hook = receiver("webhook");
    const sleepy = open(store, [hook.notifier], { slept: true });
    await sleepy.outbox.put(message("one"));
    await sleepy.outbox[Symbol.asyncDispose]();
    assert.equal(hook.tries(), 0);

    const next = open(store, [hook.notifier], { runner: "runner-b" });
    assert.deepEqual(await next.outbox.sendAll(), { sent: 1, waiting: 0, refused: 0 });
    assert.equal(hook.tries(), 1);
  });

  test("a refused message is kept with its reason, where failed things are looked for", async () => {
    const store = openMemoryStore();
    const mail = receiver("email", ["contract"]);
    const { outbox } = open(store, [mail.notifier]);

    await outbox.put(message("one", [waiting("email", "gone@example.org")]));
    await outbox.settle();

    assert.deepEqual(await listed(store, "outbox/"), []);
    const dead = await readMessage(store, keys.deadMessage(JOB, sha256Of("one")));
    assert.equal(dead.deliveries[0]?.state, "refused");
    assert.match(dead.deliveries[0]?.error?.message ?? "", /it failed/);
  });

  test("one refused recipient does not keep the message from the other", async () => {
    const store = openMemoryStore();
    const mail = receiver("email", ["contract"]);
    const hook = receiver("webhook", ["transient"]);
    const { outbox, clock } = open(store, [mail.notifier, hook.notifier]);

    await outbox.put(
      message("one", [waiting("email", "a@example.org"), waiting("webhook", URL_OF)]),
    );
    await outbox.settle();
    clock.pass(10_000);
    await outbox.sendAll();

    assert.equal(hook.received.length, 1);
    assert.equal(mail.tries(), 1);
  });

  test("a receiver that is gone (410) gets nothing more, until a person takes it up again", async () => {
    const store = openMemoryStore();
    const hook = receiver("webhook", ["missing"]);
    const { outbox } = open(store, [hook.notifier]);

    await outbox.put(message("one"));
    await outbox.settle();
    await outbox.put(message("two"));
    await outbox.settle();
    const triesWhileGone = hook.tries();
    await forgetGone(store, URL_OF);
    await outbox.put(message("three"));
    await outbox.settle();

    assert.equal(triesWhileGone, 1);
    assert.deepEqual(
      hook.received.map(({ text }) => text),
      ["three"],
    );
    assert.match(
      (await readMessage(store, keys.deadMessage(JOB, sha256Of("two")))).deliveries[0]?.error
        ?.message ?? "",
      /gone/,
    );
  });

  test("what nothing here can send waits for one that can, and says what is missing", async () => {
    const store = openMemoryStore();
    const { outbox, clock } = open(store, []);
    await outbox.put(message("one", [waiting("email", "a@example.org")]));
    await outbox.settle();
    const [key] = await listed(store, "outbox/");
    const { deliveries } = await readMessage(store, key as ReturnType<typeof keys.outboxes>);
    clock.pass(60_000);
    const mail = receiver("email");

    await open(store, [mail.notifier], { runner: "runner-b", clock }).outbox.sendAll();

    assert.match(deliveries[0]?.error?.hint ?? "", /CLIPSCRIBE_SMTP_URL/);
    assert.equal(mail.received.length, 1);
  });

  test("after three days of tries it gives up, and keeps the last reason", async () => {
    const store = openMemoryStore();
    const hook = receiver(
      "webhook",
      Array.from({ length: MAX_SEND_ATTEMPTS + 5 }, (): ErrorKind => "transient"),
    );
    const { outbox, clock } = open(store, [hook.notifier]);
    await outbox.put(message("one"));
    await outbox.settle();
    const startedMs = clock.now().getTime();
    while ((await listed(store, "outbox/")).length > 0) {
      clock.pass(60 * 60_000);
      await outbox.sendAll();
    }

    assert.equal(hook.tries(), MAX_SEND_ATTEMPTS);
    const days = (clock.now().getTime() - startedMs) / 86_400_000;
    assert.ok(days > 3 && days < 4, `${days} days`);
    const dead = await readMessage(store, keys.deadMessage(JOB, sha256Of("one")));
    assert.deepEqual(dead.deliveries[0]?.error?.cause, ["it failed: transient"]);
  });

  test("what is no message is put aside, and the others go on", async () => {
    const store = openMemoryStore();
    const hook = receiver("webhook");
    const { outbox } = open(store, [hook.notifier]);
    await store.put(keys.outbox(JOB, sha256Of("evil")), Buffer.from("<svg onload=alert(1)>"));
    const real = message("one");
    await outbox.put(real);
    await outbox.settle();
    const body = Buffer.from(JSON.stringify(await readMessage(store, keys.message(JOB, real.id))));
    // A message under another's name would be sent as that.
    await store.put(keys.outbox(JOB, sha256Of("other")), body);

    await outbox.sendAll(true);

    assert.equal(hook.received.length, 1);
    assert.deepEqual(await listed(store, "outbox/"), []);
    assert.equal((await listed(store, "sys/poison/")).length, 2);
  });

  test("cut off at any operation of the store, a message arrives, and only under one id", async () => {
    let operations = 0;
    const onOperation = (): void => void operations++;
    const probe = failing(openMemoryStore(), { at: -1, mode: "error", onOperation });
    const first = open(probe, [receiver("webhook").notifier]);
    await first.outbox.put(message("one"));
    await first.outbox[Symbol.asyncDispose]();
    assert.ok(operations >= 5);

    for (let at = 1; at <= operations; at++) {
      for (const mode of ["error", "lost-answer"] as const) {
        const store = openMemoryStore();
        const hook = receiver("webhook");
        const cut = open(failing(store, { at, mode }), [hook.notifier]);
        await cut.outbox.put(message("one")).catch(() => undefined);
        await cut.outbox[Symbol.asyncDispose]();
        const next = open(store, [hook.notifier], { runner: "runner-b" });
        await next.outbox.put(message("one"));
        await next.outbox.sendAll(true);
        await next.outbox[Symbol.asyncDispose]();

        const ids = new Set(hook.received.map(({ id }) => id));
        assert.deepEqual([...ids], [sha256Of("one")], `operation ${at}, ${mode}`);
        assert.deepEqual(await listed(store, "outbox/"), [], `operation ${at}, ${mode}`);
      }
    }
  });
});

async function untilListed(store: ObjectStore, prefix: string): Promise<void> {
  for (let turn = 0; turn < 1_000; turn++) {
    if ((await listed(store, prefix)).length > 0) return;
    await new Promise((resolve) => setImmediate(resolve));
  }
  throw new Error(`nothing came under ${prefix}`);
}
