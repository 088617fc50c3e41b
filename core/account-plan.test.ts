import assert from "node:assert/strict";
import { describe, test } from "node:test";

import fc from "fast-check";

import { hasKind } from "./errors.ts";
import { isOverlapping, planAccount } from "./account-plan.ts";
import type { FoundAccount, FoundQueue, FoundRule } from "./account-plan.ts";
import { BUCKET_ROOMS, wantedAccount } from "./account-wanted.ts";
import { UserId } from "./ids.ts";
import { prefixesOf, systemKeys } from "./keys.ts";

const wanted = wantedAccount({
  accountId: "0".repeat(32),
  bucket: "clipscribe",
  jurisdiction: "default",
  accept: ["mp4"],
});

const queue = (name: string, more: Partial<FoundQueue> = {}): FoundQueue => ({
  id: `id-${name}`,
  name,
  isPaused: false,
  consumers: [{ id: "c", type: "http_pull" }],
  producers: [],
  ...more,
});

/** An account as a finished setup leaves it. */
function finished(): FoundAccount {
  const queues = { urgent: queue("clipscribe-urgent"), batch: queue("clipscribe-batch") };
  const rules = wanted.rules.map((rule, index): FoundRule => {
    const { id, name } = queues[rule.lane];
    return { ...rule, ruleId: `r${index}`, queueId: id, queueName: name };
  });
  return {
    bucket: { rules, lifecycle: [...wanted.lifecycle], cors: [] },
    elsewhere: [],
    queues,
    foreignKey: null,
  };
}

describe("what has to be done to an account", () => {
  test("is nothing once all is there, whatever order it is told in", () => {
    const found = finished();
    const { bucket } = found;
    const turned = { ...found, bucket: bucket && { ...bucket, rules: bucket.rules.toReversed() } };

    assert.deepEqual(planAccount(wanted, turned), { actions: [], problems: [], notes: [] });
  });

  test("is what any part of it lacks, and no more", () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { minLength: 32, maxLength: 32 }), (missing) => {
        const found = finished();
        const { bucket } = found;
        assert.ok(bucket !== null);
        const rules = bucket.rules.filter((_, index) => missing[index] !== true);
        const lifecycle = bucket.lifecycle.filter((_, index) => missing[index + 16] !== true);

        const plan = planAccount(wanted, { ...found, bucket: { ...bucket, rules, lifecycle } });

        assert.deepEqual(plan.problems, []);
        const added = plan.actions.flatMap((action) =>
          action.do === "put-rules" ? action.add : [],
        );
        assert.equal(added.length + rules.length, wanted.rules.length);
        for (const action of plan.actions) {
          if (action.do === "put-rules") {
            const own = rules.filter(({ queueId }) => queueId === action.queueId);
            assert.deepEqual(action.keep, own, "a PUT that replaces loses nothing");
          } else {
            assert.equal(action.do, "put-lifecycle");
          }
        }
        const put = plan.actions.find((action) => action.do === "put-lifecycle");
        assert.equal((put?.rules ?? lifecycle).length, wanted.lifecycle.length);
      }),
    );
  });

  test("keeps other people's lifecycle rules, and corrects ours where somebody changed them", () => {
    const found = finished();
    const theirs = { id: "theirs", enabled: true, conditions: { prefix: "exports/" } };
    const [ours, ...rest] = wanted.lifecycle;
    const changed = {
      ...ours,
      id: ours?.id ?? "",
      conditions: { prefix: "results/" },
      enabled: true,
    };
    const bucket = {
      rules: found.bucket?.rules ?? [],
      lifecycle: [theirs, changed, ...rest],
      cors: [],
    };

    const { actions } = planAccount(wanted, { ...found, bucket });

    assert.equal(actions.length, 1);
    const [put] = actions;
    assert.ok(put?.do === "put-lifecycle");
    assert.deepEqual(put.add, ["clipscribe-sources"]);
    assert.deepEqual(put.rules.map(({ id }) => id).toSorted(), [
      "clipscribe-blobs",
      "clipscribe-drops",
      "clipscribe-sources",
      "clipscribe-unfinished-uploads",
      "theirs",
    ]);
    assert.deepEqual(
      put.rules.find(({ id }) => id === "clipscribe-sources"),
      ours,
    );
  });

  test("a paused queue, few deliveries, a rule too much or told of more: noted, and left alone", () => {
    const found = finished();
    const [first, ...rest] = found.bucket?.rules ?? [];
    assert.ok(first !== undefined);
    const more = { ...first, actions: [...first.actions, "CopyObject"] };
    const extra = { ...first, ruleId: "x", prefix: "exports/", suffix: "" };
    const consumers = [{ id: "c", type: "http_pull", maxRetries: 3 }];
    const urgent = queue("clipscribe-urgent", { isPaused: true, consumers });

    const plan = planAccount(wanted, {
      ...found,
      queues: { ...found.queues, urgent },
      bucket: { rules: [more, extra, ...rest], lifecycle: [...wanted.lifecycle], cors: [] },
    });

    assert.deepEqual([plan.actions, plan.problems], [[], []]);
    assert.deepEqual(
      plan.notes.map((note) => note.replace(/:.*/, "")),
      [
        "the queue clipscribe-urgent is paused",
        "clipscribe-urgent gives a message up after 3 deliveries",
        "inbox/urgent/* also tells of CopyObject",
        "clipscribe-urgent also hears of exports/*",
      ],
    );
  });

  test("a rule of ours without one of the actions is in the way, as R2 takes no second one there", () => {
    const found = finished();
    const rules = (found.bucket?.rules ?? []).map((rule) => ({ ...rule, actions: ["PutObject"] }));
    const bucket = { rules, lifecycle: [...wanted.lifecycle], cors: [] };

    const { problems } = planAccount(wanted, { ...found, bucket });

    assert.equal(problems.length, rules.length);
  });
});

describe("a bucket's name", () => {
  test("is refused before anybody is asked where R2 or its queues would not take it", () => {
    const needs = { accountId: "0".repeat(32), jurisdiction: "default", accept: ["mp4"] } as const;
    for (const bucket of ["a.b.c", "ab", "-abc", "abc-", "Clips", "x".repeat(57)]) {
      assert.throws(() => wantedAccount({ ...needs, bucket }), hasKind("config"), bucket);
    }
    assert.equal(wantedAccount({ ...needs, bucket: "x".repeat(56) }).queues.urgent.length, 63);
  });
});

describe("the rooms of a bucket", () => {
  test("hold every key that we make: what lies elsewhere is somebody else's", () => {
    const made = [...prefixesOf(UserId.parse("me")), systemKeys.sweep, systemKeys.pipelineCurrent];
    for (const key of made)
      assert.ok(
        BUCKET_ROOMS.some((room) => key.startsWith(room)),
        key,
      );
  });
});

describe("rules overlap", () => {
  test("exactly where one object could match both", () => {
    const piece = fc.stringMatching(/^[ab/]{0,3}$/);
    const rule = fc.record({ prefix: piece, suffix: piece });
    fc.assert(
      fc.property(rule, rule, (a, b) => {
        const longest = (x: string, y: string): string => (x.length >= y.length ? x : y);
        // The object that both match, if any does: the longer ends of both, with room between them.
        const key = `${longest(a.prefix, b.prefix)}…${longest(a.suffix, b.suffix)}`;
        const matches = [a, b].every(
          ({ prefix, suffix }) => key.startsWith(prefix) && key.endsWith(suffix),
        );
        assert.equal(isOverlapping(a, b), matches);
      }),
    );
  });
});
