import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";

import { openMemoryStore } from "../adapters/memory/memory-store.ts";
import { KEYS, engineWorld } from "../bench/campaign-engine.ts";
import { ClipscribeError, hasKind } from "../core/errors.ts";
import { settleOnce } from "../core/money.ts";
import type { PaidAnswer } from "../core/stage.ts";
import type { ObjectStore } from "../ports/object-store.ts";
import { ClaimLost, Drained } from "./interruptions.ts";
import { openCalls } from "./open-calls.ts";
import { payOnce } from "./paid-calls.ts";
import type { PaidResult } from "./paid-calls.ts";

const REQUEST = { provider: "p", model: "m", operation: "o", payload: {} };
const ANSWER: PaidAnswer = { answer: "said", usage: {}, costUsd: 0.1 };
const PATIENCE_MS = 10_000;

/** A claim of a living runner; each may ask for the same call. */
function claimOf(
  store: ObjectStore,
  runner: string,
  signal: AbortSignal,
  {
    isAsleep = false,
    isAlone = false,
    ticks = signal,
  }: { isAsleep?: boolean; isAlone?: boolean; ticks?: AbortSignal } = {},
) {
  const base = engineWorld({ store, runner });
  // Nobody waits for real time; what waits for ever ends by its signal.
  const world = {
    ...base,
    clock: { ...base.clock, sleep: async () => base.clock.sleep(1, ticks) },
  };
  const calls = openCalls(world);
  const pay = async (call: (signal: AbortSignal) => Promise<PaidAnswer>): Promise<PaidResult> =>
    payOnce(
      world,
      KEYS,
      { request: REQUEST, estimateUsd: 0.1, call },
      {
        signal,
        calls,
        reserve: async () => settleOnce(() => undefined),
        isAlive: async (other) => !isAlone && other !== "nobody",
        assertAlive: () => {
          if (isAsleep) throw new ClipscribeError("conflict", "this runner was taken for dead");
        },
      },
    );
  return { pay, end: async () => calls.close() };
}

/** The claim has asked; the test says what is answered, and when. */
async function askBy(claim: ReturnType<typeof claimOf>) {
  const answer = Promise.withResolvers<PaidAnswer>();
  const asking = Promise.withResolvers<void>();
  const paid = claim.pay(async () => {
    asking.resolve();
    return answer.promise;
  });
  await asking.promise;
  return { paid, answer };
}

const fail = async (): Promise<never> => {
  throw new ClipscribeError("transient", "the provider broke off");
};

describe("a paid call", () => {
  test("of two runners is asked by one; the other waits for its answer", async (t) => {
    const store = openMemoryStore();
    const first = await askBy(claimOf(store, "runner-a", t.signal));
    const second = claimOf(store, "runner-b", t.signal).pay(async () =>
      assert.fail("asked a second time"),
    );
    first.answer.resolve(ANSWER);

    assert.equal((await first.paid).reused, false);
    assert.deepEqual(await second, { ...ANSWER, reused: true });
  });

  test(
    "that failed is nobody's once its claim has ended: a second runner need not wait for the first to die",
    { timeout: PATIENCE_MS },
    async (t) => {
      const store = openMemoryStore();
      const first = claimOf(store, "runner-a", t.signal);
      await assert.rejects(first.pay(fail), hasKind("transient"));
      const second = claimOf(store, "runner-b", t.signal).pay(async () => ANSWER);
      await first.end();

      assert.equal((await second).reused, false);
    },
  );

  test(
    "that fails when its claim is over is given up at once",
    { timeout: PATIENCE_MS },
    async (t) => {
      const store = openMemoryStore();
      const first = claimOf(store, "runner-a", t.signal);
      const late = await askBy(first);
      await first.end();
      late.answer.reject(new ClipscribeError("cancelled", "the stage was ended"));
      await assert.rejects(late.paid, hasKind("cancelled"));

      assert.deepEqual(await claimOf(store, "runner-b", t.signal).pay(async () => ANSWER), {
        ...ANSWER,
        reused: false,
      });
    },
  );

  test("is not made by a runner that may have been taken for dead while it entered it", async (t) => {
    const store = openMemoryStore();
    const sleepy = claimOf(store, "runner-a", t.signal, { isAsleep: true });
    const asked = sleepy.pay(async () => assert.fail("asked"));

    await assert.rejects(asked, hasKind("conflict"));
  });

  test("that another entered meanwhile, since it took the first for dead, has the first answer", async (t) => {
    const store = openMemoryStore();
    const late = await askBy(claimOf(store, "nobody", t.signal));
    const heir = await askBy(claimOf(store, "runner-b", t.signal));
    late.answer.resolve(ANSWER);
    assert.deepEqual(await late.paid, { ...ANSWER, reused: false });
    heir.answer.resolve({ ...ANSWER, answer: "said otherwise" });

    assert.deepEqual(await heir.paid, { ...ANSWER, reused: true });
  });

  test("that is tried again by the same claim, and then answered, keeps its answer at the claim's end", async (t) => {
    const store = openMemoryStore();
    const first = claimOf(store, "runner-a", t.signal);
    await assert.rejects(first.pay(fail), hasKind("transient"));
    await first.pay(async () => ANSWER);
    await first.end();

    const later = claimOf(store, "runner-b", t.signal);
    assert.equal((await later.pay(fail)).reused, true);
  });

  test("whose answer the store does not take is not asked again: the answer is written later", async (t) => {
    const memory = openMemoryStore();
    let refusals = 0;
    let isDown = false;
    const store: ObjectStore = {
      ...memory,
      async put(key, body, options) {
        if (isDown && refusals++ < 5) throw new ClipscribeError("transient", "out of reach");
        return memory.put(key, body, options);
      },
    };
    let asked = 0;
    const paid = await claimOf(store, "runner-a", t.signal).pay(async () => {
      asked++;
      isDown = true;
      return ANSWER;
    });

    assert.deepEqual([paid.answer, asked, refusals], ["said", 1, 6]);
    assert.equal((await claimOf(store, "runner-b", t.signal).pay(fail)).reused, true);
  });

  /** A store that is out of reach from the moment of the answer on, while the work is ended. */
  async function endWhileDown(t: TestContext, reason: ClipscribeError) {
    const memory = openMemoryStore();
    let isDown = false;
    const store: ObjectStore = {
      ...memory,
      async put(key, body, options) {
        if (isDown) throw new ClipscribeError("transient", "out of reach");
        return memory.put(key, body, options);
      },
    };
    const work = new AbortController();
    const first = claimOf(store, "runner-a", work.signal, { ticks: t.signal });
    const paid = first.pay(async () => {
      isDown = true;
      work.abort(reason);
      return ANSWER;
    });
    await assert.rejects(paid, hasKind(reason.kind));
    await first.end();
    isDown = false;
    return memory;
  }

  test(
    "whose answer came as its claim was lost is written all the same, and nobody else asks until then",
    { timeout: PATIENCE_MS },
    async (t) => {
      const store = await endWhileDown(t, new ClaimLost());

      const second = claimOf(store, "runner-b", t.signal).pay(async () =>
        assert.fail("asked a second time"),
      );
      assert.deepEqual(await second, { ...ANSWER, reused: true });
    },
  );

  test(
    "whose answer can't be written by a process that is to end does not hold it up",
    { timeout: PATIENCE_MS },
    async (t) => {
      const store = await endWhileDown(t, new Drained());

      // Its runner is gone.
      const next = claimOf(store, "runner-b", t.signal, { isAlone: true });
      assert.equal((await next.pay(async () => ANSWER)).reused, false);
    },
  );
});
