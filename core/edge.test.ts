import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { z } from "zod";

import { sha256Of } from "./digest.ts";
import { edgePart, isSamePreparation, isSourceUploaded } from "./edge.ts";
import { checkPipeline } from "./pipeline-check.ts";
import { parsePipeline } from "./pipeline-parse.ts";
import { formatProblems } from "./pipeline-problems.ts";
import type { CheckedPipeline, LoadedStage } from "./pipeline.ts";
import { defineStage, file, json } from "./stage.ts";
import type { StageDefinition } from "./stage.ts";

const params = z.strictObject({});
const sound = defineStage({
  input: { source: file({ mediaType: "*/*" }) },
  output: { sound: json(z.string()) },
  params,
  run: () => ({ sound: "" }),
});
const words = defineStage({
  input: { sound: json(z.string()) },
  output: { words: json(z.string(), { fileName: "words.json" }) },
  params,
  needs: { provider: "transcriber" },
  run: () => ({ words: "" }),
});
const frames = defineStage({
  input: { source: file({ mediaType: "*/*" }), words: json(z.string(), { optional: true }) },
  output: { frames: json(z.string()) },
  params,
  run: () => ({ frames: "" }),
});

const loaded = new Map(
  Object.entries({ sound, words, frames }).map(([name, definition]): [string, LoadedStage] => {
    const uses = `stages/${name}.ts`;
    const stage = definition as unknown as StageDefinition;
    return [uses, { uses, definition: stage, codeDigest: sha256Of(uses), bundlePath: "" }];
  }),
);

function check(stages: readonly string[], more = ""): CheckedPipeline | string {
  const lines = stages.map((line) => {
    const [id = "", runsOn] = line.split("@");
    return `  - id: ${id}\n    uses: stages/${id}.ts\n${runsOn === undefined ? "" : `    runs_on: ${runsOn}\n`}`;
  });
  const text = `pipeline: test\naccept: [mp4]\nstages:\n${lines.join("")}publish: [words.json]\n${more}`;
  const report = (problems: Parameters<typeof formatProblems>[0]): string =>
    formatProblems(problems, { file: "pipeline.yaml", text });
  const parsed = parsePipeline(text, "pipeline.yaml");
  if (!parsed.ok) return report(parsed.problems);
  const checked = checkPipeline(parsed.value, { loaded, readText: () => "", knownStages: [] });
  return checked.ok ? checked.value : report(checked.problems);
}

function checked(stages: readonly string[], more = ""): CheckedPipeline {
  const result = check(stages, more);
  if (typeof result === "string") throw new Error(result);
  return result;
}

describe("edge stages", () => {
  test("an edge stage that needs what a worker makes is refused where it says so, an optional input too", () => {
    const problems = check(["sound@edge", "words", "frames@edge"]);

    assert.match(
      String(problems),
      /pipeline\.yaml:11:14 stage `frames` runs on the edge, but `words`/,
    );
    assert.match(String(problems), /remove `runs_on: edge` here, or add it to `words`/);
  });

  test("an edge stage that pays is refused", () => {
    assert.match(
      String(check(["sound@edge", "words@edge"])),
      /:9:14 stage `words` asks a provider/,
    );
  });

  test("`upload` takes `source`, and nothing else", () => {
    assert.match(
      String(check(["sound", "words"], "upload: all\n")),
      /:9:9 .*write `upload: source`/,
    );
  });

  test("a pipeline that does not say `upload` has the digest that it had before there was one", () => {
    const [plain, uploading] = [
      checked(["sound", "words"]),
      checked(["sound", "words"], "upload: source\n"),
    ];

    assert.equal("upload" in plain, false);
    assert.notEqual(plain.digest, uploading.digest);
  });

  test("the edge part is the edge stages, in order, and what they need is in it", () => {
    const part = edgePart(checked(["sound@edge", "words", "frames"]));

    assert.deepEqual(
      part.stages.map(({ id }) => id),
      ["sound"],
    );
  });

  test("the original leaves the laptop where a worker reads it, the pipeline says so, or a person", () => {
    const no = { keepVideo: false };

    assert.equal(isSourceUploaded(checked(["sound@edge", "words"]), no), false);
    assert.equal(isSourceUploaded(checked(["sound@edge", "words"]), { keepVideo: true }), true);
    assert.equal(isSourceUploaded(checked(["sound@edge", "words"], "upload: source\n"), no), true);
    assert.equal(isSourceUploaded(checked(["sound", "words"]), no), true);
    assert.equal(isSourceUploaded(checked(["sound@edge", "words", "frames"]), no), true);
  });

  test("a preparation is the same where code, params and inputs are, whatever the machine's tools", () => {
    const made = { code: "c", "params.rate": "1", "input.source": "s", "tool.ffmpeg": "7.1" };

    assert.equal(isSamePreparation(made, { ...made, "tool.ffmpeg": "5.1" }), true);
    assert.equal(isSamePreparation(made, { ...made, "params.rate": "2" }), false);
    assert.equal(isSamePreparation(made, { ...made, "params.more": "2" }), false);
    assert.equal(isSamePreparation({ ...made, "input.item": "i" }, made), false);
  });
});
