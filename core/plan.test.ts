import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { z } from "zod";

import { digestOf } from "./digest.ts";
import type { CheckedStage } from "./pipeline.ts";
import { ABSENT, explainRun, provenanceDigest, stageIngredients, stageKey } from "./plan.ts";
import { defineStage, json } from "./stage.ts";
import type { StageDefinition } from "./stage.ts";

const contract = defineStage({
  input: { words: json(z.string()), extra: json(z.string(), { optional: true }) },
  output: { count: json(z.number()) },
  params: z.strictObject({ bitrate_kbps: z.number(), template: z.string() }),
  textParams: ["template"],
  run: () => ({ count: 1 }),
}) as unknown as StageDefinition;

function stageWith(change: Partial<CheckedStage> = {}): CheckedStage {
  return {
    id: "count",
    uses: "stages/count.ts",
    runsOn: "worker",
    with: {},
    in: {},
    retry: { attempts: 1, backoff: "fixed" },
    timeoutMs: 1_000,
    pool: "cpu",
    optional: false,
    contract,
    codeDigest: digestOf("code"),
    bundlePath: "/anywhere/a.mjs",
    params: { bitrate_kbps: 32, template: "templates/a.md" },
    texts: { template: "Hello" },
    inputs: {},
    after: [],
    ...change,
  };
}

const about = (change: Partial<CheckedStage> = {}): Parameters<typeof stageIngredients>[0] => ({
  stage: stageWith(change),
  inputs: { words: "aaa", extra: undefined },
  provider: null,
  tools: { ffmpeg: "5.1" },
});

describe("stage keys", () => {
  test("the path of a template is not part of the key, its text is", () => {
    const key = stageKey(stageIngredients(about()));
    const moved = about({ params: { bitrate_kbps: 32, template: "elsewhere/b.md" } });
    const edited = about({ texts: { template: "Hello!" } });

    assert.equal(stageKey(stageIngredients(moved)), key);
    assert.notEqual(stageKey(stageIngredients(edited)), key);
  });

  test("where the bundle lies and what the stage is called are not part of the key", () => {
    const renamed = about({ id: "other", bundlePath: "/b.mjs", timeoutMs: 9, pool: "asr" });

    assert.equal(stageKey(stageIngredients(renamed)), stageKey(stageIngredients(about())));
  });

  test("an absent optional input differs from every present one", () => {
    const absent = stageIngredients(about());
    const present = stageIngredients({ ...about(), inputs: { words: "aaa", extra: "bbb" } });

    assert.equal(absent["input.extra"], ABSENT);
    assert.notEqual(stageKey(absent), stageKey(present));
  });

  test("tool versions count only for a stage that says `keyed`", () => {
    const keyed = { ...contract, needs: { keyed: true } };
    const update = (change: Partial<CheckedStage>): boolean => {
      const before = stageKey(stageIngredients(about(change)));
      const after = stageKey(stageIngredients({ ...about(change), tools: { ffmpeg: "9.9" } }));
      return before !== after;
    };

    assert.equal(update({}), false);
    assert.equal(update({ contract: keyed }), true);
  });

  test("the provider and its model are part of the key", () => {
    const one = stageIngredients({ ...about(), provider: { provider: "xai", model: "a" } });
    const two = stageIngredients({ ...about(), provider: { provider: "xai", model: "b" } });

    assert.notEqual(stageKey(one), stageKey(two));
  });

  test("what a run cost and how long it took does not change its provenance", () => {
    const stage = { id: "a", uses: "stages/a.ts", provider: null, model: null };
    const base = { pipeline: "p", clipscribe_version: "1", source_sha256: "s", lacks: [] };
    const slow = { ...base, stages: [{ ...stage, cost_usd: 1, seconds: 60, ended_at: "2026" }] };
    const fast = { ...base, stages: [{ ...stage, cost_usd: 0, seconds: 1, ended_at: "2027" }] };

    assert.equal(provenanceDigest(slow), provenanceDigest(fast));
  });
});

describe("why a stage runs", () => {
  const before = stageIngredients(about());

  test("a changed param is named with both values", () => {
    const now = stageIngredients(about({ params: { bitrate_kbps: 24, template: "t" } }));

    assert.equal(explainRun(before, now), "params.bitrate_kbps changed 32 → 24");
  });

  test("a changed text, changed code and changed inputs are said in words", () => {
    const edited = stageIngredients(about({ texts: { template: "x" } }));
    const recoded = stageIngredients(about({ codeDigest: digestOf("new") }));
    const refed = stageIngredients({ ...about(), inputs: { words: "zzz", extra: "now" } });

    assert.equal(explainRun(before, edited), "params.template: the file's text changed");
    assert.equal(explainRun(before, recoded), "code changed");
    assert.equal(explainRun(before, refed), "input extra appeared; input words changed");
  });

  test("a first run and a lost result have words of their own", () => {
    assert.equal(explainRun(undefined, before), "first run");
    assert.equal(explainRun(before, before), "its earlier result is gone");
  });
});
