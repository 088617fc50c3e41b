import assert from "node:assert/strict";
import { describe, test } from "node:test";

import fc from "fast-check";

import { digestOf, sha256Of } from "./digest.ts";
import { hasKind } from "./errors.ts";
import { RunnerId } from "./ids.ts";
import {
  MAX_FRUITLESS_CLAIMS,
  claimItem,
  endRun,
  hasEnded,
  planClaim,
  publishItem,
  queueItem,
  recordProgress,
  requeueItem,
} from "./item-state.ts";
import { ItemState, Ticket } from "./records.ts";

const NOW = new Date("2026-11-24T08:00:00Z");
const ME = RunnerId.parse("runner-a");
const OTHER = RunnerId.parse("runner-b");
const ERROR = { kind: "transient" as const, message: "no answer", hint: null, cause: [] };
const MANIFEST = { sha256: sha256Of("m"), size: 1, run: 1 };

function ticketOf(run: number): Ticket {
  return Ticket.parse({
    schema: 1,
    job_id: "job",
    item_id: "item",
    run,
    user: "me",
    lane: "urgent",
    pipeline_digest: digestOf("p"),
    source: {
      kind: "file",
      url: null,
      filename: "a.mp4",
      sha256: sha256Of("a"),
      size: 1,
      media_type: "video/mp4",
    },
    artifacts: [],
    info: { file_name: "a.mp4" },
    created_at: NOW.toISOString(),
  });
}

const queued = (): ItemState => queueItem(ticketOf(1), NOW);
const claimed = (): ItemState => claimItem(queued(), ticketOf(1), ME, NOW);
const by = (state: ItemState): { owner: RunnerId; epoch: number; now: Date } => ({
  owner: ME,
  epoch: state.epoch,
  now: NOW,
});
const facts = (ownerIsAlive = false): { now: Date; ownerIsAlive: boolean } => ({
  now: NOW,
  ownerIsAlive,
});

describe("the item's state machine", () => {
  test("a claim raises the epoch and counts the attempt before any work", () => {
    const state = claimed();

    assert.deepEqual(
      [state.status, state.owner, state.epoch, state.attempts, state.fruitless_claims],
      ["processing", ME, 1, 1, 1],
    );
  });

  test("nobody writes under an older epoch or another's name", () => {
    const mine = claimed();
    const theirs = claimItem(mine, ticketOf(1), OTHER, NOW);

    const late = (): ItemState =>
      publishItem(theirs, by(mine), "complete", {
        manifest: MANIFEST,
        resultsKey: "r",
        stages: {},
        cost: 0,
      });

    assert.throws(late, hasKind("conflict"));
    const again = claimItem(theirs, ticketOf(1), ME, NOW);
    assert.throws(() => requeueItem(again, by(mine), { kind: "drained" }), hasKind("conflict"));
  });

  test("a drained claim does not count; a retried one does, and waits", () => {
    const drained = requeueItem(claimed(), by(claimed()), { kind: "drained" });
    const notBefore = new Date(NOW.getTime() + 5_000);
    const retried = requeueItem(claimed(), by(claimed()), {
      kind: "retry",
      notBefore,
      error: ERROR,
    });

    assert.deepEqual([drained.attempts, drained.fruitless_claims], [0, 0]);
    assert.deepEqual([retried.attempts, retried.fruitless_claims], [1, 1]);
    assert.deepEqual(planClaim(retried, { run: 1 }, facts()), { action: "wait", ms: 5_000 });
  });

  test("a claim that ended for want of space waits, and does not count", () => {
    const retry = { kind: "retry" as const, notBefore: NOW, error: ERROR, isOwn: false };
    const waiting = requeueItem(claimed(), by(claimed()), retry);

    assert.deepEqual([waiting.attempts, waiting.fruitless_claims], [0, 0]);
    assert.equal(waiting.not_before, NOW.toISOString());
  });

  test("a claim that is drained after it ended a stage leaves a state that can be read", () => {
    const state = claimed();
    const fruitful = recordProgress(state, by(state), {
      stages: {},
      stage: null,
      progress: 10,
      cost: 0,
      wasFruitful: true,
    });

    const drained = requeueItem(fruitful, by(fruitful), { kind: "drained" });

    assert.equal(ItemState.parse(drained).fruitless_claims, 0);
  });

  test("five claims in a row that end no stage fail the item; one that does starts the count anew", () => {
    let state = queued();
    for (let i = 0; i < MAX_FRUITLESS_CLAIMS; i++) {
      assert.equal(planClaim(state, { run: 1 }, facts()).action, "claim");
      state = claimItem(state, ticketOf(1), ME, NOW);
    }
    assert.equal(planClaim(state, { run: 1 }, facts()).action, "fail");

    const fruitful = recordProgress(state, by(state), {
      stages: {},
      stage: null,
      progress: 10,
      cost: 0,
      wasFruitful: true,
    });

    assert.equal(planClaim(fruitful, { run: 1 }, facts()).action, "claim");
  });

  test("a new run starts the count anew and keeps the earlier manifest in force until it publishes", () => {
    let state = claimed();
    state = publishItem(state, by(state), "complete", {
      manifest: MANIFEST,
      resultsKey: "results/",
      stages: {},
      cost: 1,
    });
    state = claimItem(state, ticketOf(2), ME, NOW);
    const failed = endRun(state, by(state), {
      status: "failed",
      error: { ...ERROR, kind: "contract" },
      stages: {},
      cost: 0,
    });

    assert.deepEqual([state.run, state.attempts, state.cost, state.epoch], [2, 1, 0, 2]);
    assert.deepEqual(failed.manifest, MANIFEST);
  });

  test("an item that a living runner has is left alone; a dead one's is taken", () => {
    assert.deepEqual(planClaim(claimed(), { run: 1 }, facts(true)), { action: "leave" });
    assert.deepEqual(planClaim(claimed(), { run: 1 }, facts(false)), { action: "claim" });
  });

  test("a ticket of an older run is deleted; one whose run has ended only wants its tail", () => {
    const newer = claimItem(queued(), ticketOf(2), ME, NOW);
    const ended = endRun(claimed(), by(claimed()), {
      status: "held",
      error: ERROR,
      stages: {},
      cost: 0,
    });

    assert.deepEqual(planClaim(newer, { run: 1 }, facts()), { action: "delete-ticket" });
    assert.deepEqual(planClaim(ended, { run: 1 }, facts()), { action: "finish-tail" });
    assert.throws(() => claimItem(newer, ticketOf(1), ME, NOW), hasKind("conflict"));
  });

  test("whatever happens in whatever order, epoch and run never fall and the ended have no owner", () => {
    const step = fc.constantFrom(
      "claim",
      "next-run",
      "publish",
      "drain",
      "retry",
      "fail",
      "progress",
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        let state = queued();
        for (const name of steps) {
          const before = state;
          try {
            state = apply(state, name);
          } catch (error) {
            assert.ok(hasKind("conflict")(error));
          }
          assert.ok(state.epoch >= before.epoch && state.run >= before.run);
          assert.ok(state.attempts >= 0 && state.fruitless_claims >= 0);
          if (hasEnded(state)) assert.equal(state.owner, null);
          ItemState.parse(state);
        }
      }),
      { numRuns: 500 },
    );
  });
});

function apply(state: ItemState, step: string): ItemState {
  const me = { owner: ME, epoch: state.epoch, now: NOW };
  const stages = {};
  switch (step) {
    case "claim":
      return claimItem(state, ticketOf(state.run), ME, NOW);
    case "next-run":
      return claimItem(state, ticketOf(state.run + 1), OTHER, NOW);
    case "publish":
      return publishItem(state, me, "partial", {
        manifest: MANIFEST,
        resultsKey: "r",
        stages,
        cost: 0,
      });
    case "drain":
      return requeueItem(state, me, { kind: "drained" });
    case "retry":
      return requeueItem(state, me, { kind: "retry", notBefore: NOW, error: ERROR });
    case "fail":
      return endRun(state, me, { status: "failed", error: ERROR, stages, cost: 0 });
    default:
      return recordProgress(state, me, {
        stages,
        stage: null,
        progress: 5,
        cost: 0,
        wasFruitful: true,
      });
  }
}
