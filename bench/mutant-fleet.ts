/** Scenarios of a fleet: what more than one runner, or a queue that fails, does to an item. */
import { systemClock } from "../adapters/system/system-clock.ts";
import { openMemoryStore } from "../adapters/memory/memory-store.ts";
import { settleOnce } from "../core/money.ts";
import type { PaidAnswer } from "../core/stage.ts";
import type { EventQueue, LeasedEvent } from "../ports/event-queue.ts";
import type { ObjectStore } from "../ports/object-store.ts";
import { claimTicket } from "../runner/claim.ts";
import { NO_LOOK_AHEAD } from "../runner/look-ahead.ts";
import { readItem } from "../runner/item-record.ts";
import { openLiveness } from "../runner/liveness.ts";
import { openCalls } from "../runner/open-calls.ts";
import { payOnce } from "../runner/paid-calls.ts";
import { openRunner } from "../runner/runner.ts";
import { ITEM, JOB, KEYS, engineWorld, submit, ticketOf } from "./campaign-engine.ts";
import type { Scenario } from "./mutant-scenarios.ts";

const ADDRESS = { lane: "urgent", user: ticketOf().user, job: JOB, item: ITEM, run: 1 } as const;

/** Two runners read the same state; both then try to take it. */
export const twoClaims: Scenario = async ({ heedConditions, ...defences }) => {
  const memory = openMemoryStore();
  const store: ObjectStore =
    heedConditions === false
      ? { ...memory, put: async (key, body) => memory.put(key, body) }
      : memory;
  await submit(store);
  const gate = Promise.withResolvers<void>();
  let waiting = 0;
  const slow: ObjectStore = {
    ...store,
    async put(key, body, options) {
      if (key === KEYS.item(JOB, ITEM) && ++waiting <= 2) {
        if (waiting === 2) gate.resolve();
        await gate.promise;
      }
      return store.put(key, body, options);
    },
  };
  const claims = ["runner-a", "runner-b"].map(async (runner) => {
    const world = engineWorld({ store: slow, defences, runner });
    await using liveness = await openLiveness(world, () => []);
    const verdict = await claimTicket(
      { world, keys: KEYS, liveness, isActive: () => true, lookAhead: () => NO_LOOK_AHEAD },
      ADDRESS,
    );
    return verdict.action;
  });
  const won = (await Promise.all(claims)).filter((action) => action === "claimed").length;
  return won === 1 ? [] : [`${won} runners claimed one item`];
};

/** A paid call fails, and its runner lives on with other work: the next one to need it must not wait. */
export const forsakenCall: Scenario = async (defences) => {
  const store = openMemoryStore();
  const pay = async (runner: string, call: () => Promise<PaidAnswer>): Promise<unknown> => {
    const world = engineWorld({ store, defences, runner });
    const calls = openCalls(world);
    const request = { provider: "p", model: "m", operation: "o", payload: {} };
    const reserve = async () => settleOnce(() => undefined);
    const isAlive = async (other: string) => other !== "nobody";
    const assertAlive = (): void => undefined;
    const context = { signal: AbortSignal.timeout(2_000), reserve, calls, isAlive, assertAlive };
    try {
      return await payOnce(world, KEYS, { request, estimateUsd: 0.1, call }, context);
    } finally {
      await calls.close();
    }
  };
  await pay("runner-a", () => Promise.reject(new Error("broke off"))).catch(() => undefined);
  const answer = { answer: "said", usage: {}, costUsd: 0.1 };
  return pay("runner-b", () => Promise.resolve(answer)).then(
    () => [],
    () => ["a runner waits for a call that nobody makes"],
  );
};

/** A runner is stopped past its lease right before it pays, and goes on there once it is woken. */
export const sleepyPayment: Scenario = async (defences) => {
  const store = openMemoryStore();
  const base = engineWorld({ store, defences, runner: "sleepy" });
  let sleptMs = 0;
  const clock = { ...base.clock, monotonicMs: () => base.clock.monotonicMs() + sleptMs };
  const world = { ...base, clock };
  await using liveness = await openLiveness(world, () => []);
  let paid = 0;
  const call = async (): Promise<PaidAnswer> => {
    paid++;
    return { answer: "said", usage: {}, costUsd: 0.1 };
  };
  const request = { provider: "p", model: "m", operation: "o", payload: {} };
  const reserve = async () => settleOnce(() => undefined);
  const context = {
    signal: AbortSignal.timeout(2_000),
    reserve,
    calls: openCalls(world),
    isAlive: async () => false,
    assertAlive: () => {
      sleptMs = 10 * world.clocks.leaseMs;
      liveness.assertAlive();
    },
  };
  await payOnce(world, KEYS, { request, estimateUsd: 0.1, call }, context).catch(() => undefined);
  return paid === 0 ? [] : ["a runner that slept past its lease woke up and paid"];
};

/** What is acknowledged must be claimed: the message is the only sign until then. */
export const lostMessage: Scenario = async (defences) => {
  const store = openMemoryStore();
  const key = await submit(store);
  const problems: string[] = [];
  const acked = Promise.withResolvers<void>();
  let events: LeasedEvent[] = [
    {
      id: "1",
      leaseId: "l",
      body: JSON.stringify({ action: "PutObject", object: { key } }),
      attempts: 1,
    },
  ];
  const queue: EventQueue = {
    send: () => Promise.resolve(),
    async pull({ signal: stop }) {
      const taken = events;
      events = [];
      if (taken.length > 0) return taken;
      await new Promise((resolve) => stop?.addEventListener("abort", resolve));
      return [];
    },
    async ack() {
      const state = (await readItem(store, KEYS.item(JOB, ITEM)))?.state;
      if (state?.status === "queued")
        problems.push("a message was acknowledged before its item was claimed");
      acked.resolve();
    },
    retry: () => Promise.resolve(),
  };
  const runner = await openRunner(engineWorld({ store, queue, defences }), {
    sweepPrefix: "inbox/",
    accepts: () => true,
  });
  await acked.promise;
  await runner[Symbol.asyncDispose]();
  return problems;
};

/** A second runner hears of an item on which a living one works. */
export const stolenWork: Scenario = async (defences) => {
  const store = openMemoryStore();
  const key = await submit(store);
  const claims: string[] = [];
  const ended = Promise.withResolvers<void>();
  const begun = Promise.withResolvers<void>();
  const open = async (runner: string) => {
    const world = engineWorld({ store, defences, runner });
    const { pool } = world;
    const slow: typeof pool = {
      ...pool,
      async run(...task) {
        begun.resolve();
        await world.clock.sleep(400);
        return pool.run(...task);
      },
    };
    const listener: typeof world.listener = ({ type }) => {
      if (type === "item-claimed") claims.push(runner);
      if (type === "item-ended") ended.resolve();
    };
    return openRunner(
      { ...world, pool: slow, listener },
      { sweepPrefix: "inbox/", accepts: () => true },
    );
  };
  const first = await open("runner-a");
  const second = await open("runner-b");
  first.hint(key);
  await begun.promise;
  second.hint(key);
  await ended.promise;
  await Promise.all([first[Symbol.asyncDispose](), second[Symbol.asyncDispose]()]);
  return claims.length === 1 ? [] : [`${claims.join(" and ")} worked on one item at once`];
};

/** A queue that loses all it is told. */
const lossyQueue: EventQueue = {
  send: async () => undefined,
  async pull({ waitMs = 0, signal }) {
    await systemClock.sleep(waitMs, signal).catch(() => undefined);
    return [];
  },
  ack: async () => undefined,
  retry: async () => undefined,
};

/** A ticket whose event never comes. */
export const lostEvent: Scenario = async (defences) => {
  const store = openMemoryStore();
  await submit(store);
  const ended = Promise.withResolvers<boolean>();
  const world = engineWorld({
    store,
    queue: lossyQueue,
    defences,
    listener: ({ type }) => type === "item-ended" && ended.resolve(true),
  });
  const clocks = { ...world.clocks, leaseMs: 500, sweepMs: 50 };
  const runner = await openRunner({ ...world, clocks }, { sweepPrefix: null, accepts: () => true });
  const late = world.clock.sleep(5_000).then(() => false);
  const found = await Promise.race([ended.promise, late]);
  await runner[Symbol.asyncDispose]();
  return found ? [] : ["a ticket whose event was lost is never worked on"];
};
