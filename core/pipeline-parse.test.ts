import assert from "node:assert/strict";
import { describe, test } from "node:test";

import fc from "fast-check";
import { z } from "zod";

import { sha256Of } from "./digest.ts";
import { ClipscribeError } from "./errors.ts";
import { checkPipeline } from "./pipeline-check.ts";
import { parsePipeline } from "./pipeline-parse.ts";
import { formatProblems } from "./pipeline-problems.ts";
import type { CheckedPipeline, LoadedStage, PipelineProblem } from "./pipeline.ts";
import { defineStage, file, json } from "./stage.ts";
import type { StageDefinition } from "./stage.ts";

const GOOD = `pipeline: test
accept: [mp4]
stages:
  - id: words
    uses: stages/words.ts
    with: { limit: 3 }
  - id: page
    uses: stages/page.ts
    with: { template: templates/page.md }
publish: [page.md]
`;

const words = defineStage({
  input: { source: file({ mediaType: "*/*" }) },
  output: { words: json(z.array(z.string())) },
  params: z.strictObject({ limit: z.int().min(1).max(9).default(5) }),
  run: () => ({ words: [] }),
});
const page = defineStage({
  input: { words: json(z.array(z.string())), extra: json(z.string(), { optional: true }) },
  output: { page: file({ mediaType: "text/markdown", fileName: "page.md" }) },
  params: z.strictObject({ template: z.string().default("templates/page.md") }),
  textParams: ["template"],
  run: ({ ctx }) => ctx.write("page.md", "").then((made) => ({ page: made })),
});
const loop = defineStage({
  input: { second: json(z.string()) },
  output: { first: json(z.string()) },
  params: z.strictObject({}),
  run: () => ({ first: "" }),
});
const pool = defineStage({
  input: { first: json(z.string()) },
  output: { second: json(z.string()) },
  params: z.strictObject({}),
  run: () => ({ second: "" }),
});

function load(uses: string, definition: unknown): [string, LoadedStage] {
  const codeDigest = sha256Of(uses);
  const stage = definition as StageDefinition;
  return [uses, { uses, definition: stage, codeDigest, bundlePath: `/b/${uses}.mjs` }];
}

const loaded = new Map<string, LoadedStage | ClipscribeError>([
  load("stages/words.ts", words),
  load("stages/page.ts", page),
  load("stages/loop.ts", loop),
  load("stages/pool.ts", pool),
  ["stages/broken.ts", new ClipscribeError("config", "the stage does not compile")],
]);

function check(text: string): { pipeline?: CheckedPipeline; problems: PipelineProblem[] } {
  const parsed = parsePipeline(text, "pipeline.yaml");
  if (!parsed.ok) return { problems: parsed.problems };
  const checked = checkPipeline(parsed.value, {
    loaded,
    readText: (path) =>
      path === "templates/page.md"
        ? "Hello"
        : new ClipscribeError("config", "there is no such file", { details: { path } }),
    knownStages: [...loaded.keys()],
  });
  return checked.ok ? { pipeline: checked.value, problems: [] } : { problems: checked.problems };
}

function shown(text: string): string {
  return formatProblems(check(text).problems, { file: "pipeline.yaml", text });
}

describe("pipeline.yaml", () => {
  test("a good file gives its stages in order, with params, texts and inputs resolved", () => {
    const { pipeline, problems } = check(GOOD);

    assert.deepEqual(problems, []);
    assert.deepEqual(
      pipeline?.stages.map(({ id, params, after }) => [id, params, after]),
      [
        ["words", { limit: 3 }, []],
        ["page", { template: "templates/page.md" }, ["words"]],
      ],
    );
    assert.deepEqual(pipeline?.stages[1]?.texts, { template: "Hello" });
    assert.deepEqual(pipeline?.stages[1]?.inputs["extra"], { from: "nothing" });
    assert.deepEqual(pipeline?.publish, [{ file: "page.md", stage: "page", artifact: "page" }]);
    assert.equal(pipeline?.stages[0]?.timeoutMs, 30 * 60_000);
  });

  test("stages may stand in any order", () => {
    const [head, first, second, tail] = GOOD.split(/(?=  - id: )|(?=publish)/);
    const { pipeline } = check([head, second, first, tail].join(""));

    assert.deepEqual(
      pipeline?.stages.map(({ id }) => id),
      ["words", "page"],
    );
  });

  test("a problem shows its place, the line, a caret and what was probably meant", () => {
    const text = GOOD.replace("with: { limit: 3 }", "with: { limti: 3 }");

    assert.equal(
      shown(text),
      [
        "pipeline.yaml:6:13 unknown key `limti`",
        "        with: { limti: 3 }",
        "                ^",
        "    did you mean `limit`?",
      ].join("\n"),
    );
  });

  test("all problems are shown at once, in the order of the file", () => {
    const text = GOOD.replace("accept: [mp4]", "acept: [mp4]")
      .replace("id: words", "id: Words!")
      .replace("id: page", "id: page\n    timeout: 99 days");

    const { problems } = check(text);

    assert.deepEqual(
      problems.map(({ line }) => line),
      [1, 2, 4, 8],
    );
  });

  const bad: [title: string, from: string | RegExp, to: string, expected: RegExp][] = [
    [
      "an unknown stage file",
      "stages/words.ts",
      "stages/wrods.ts",
      /5:11 .*no stage file.*\n.*\n.*\n.*`stages\/words\.ts`/s,
    ],
    [
      "a stage that does not compile",
      "stages/words.ts",
      "stages/broken.ts",
      /5:11 the stage does not compile/,
    ],
    ["a wrong type", "limit: 3", "limit: three", /6:20 `limit`: expected number, received string/],
    ["a value out of bounds", "limit: 3", "limit: 99", /6:20 `limit`: .*<=9/],
    [
      "a missing input",
      "id: words",
      "id: words\n    in: { source: sorce }",
      /5:19 stage `words` needs `sorce`, which no stage makes[^]*`source`/,
    ],
    [
      "a rename of an input that isn't there",
      "id: page",
      "id: page\n    in: { wrods: words }",
      /stage `page` has no input `wrods`[^]*`words`/,
    ],
    [
      "a published file that nobody makes",
      "[page.md]",
      "[pgae.md]",
      /10:11 no stage makes `pgae.md`[^]*`page.md`/,
    ],
    ["a reserved file name", "[page.md]", "[page.md, manifest.json]", /always published/],
    ["a published name that climbs", "[page.md]", "[../page.md]", /no leading dot/],
    [
      "a template that isn't there",
      "templates/page.md }",
      "templates/none.md }",
      /9:23 there is no such file/,
    ],
    ["an unknown pool", "id: page", "id: page\n    pool: asr", /there is no pool `asr`/],
    ["a duplicate id", "id: page", "id: words", /a second stage is called `words`/],
    ["a duplicate key", "accept: [mp4]", "accept: [mp4]\naccept: [mov]", /3:1 .*unique/i],
    [
      "a retention of results",
      "accept:",
      "retention: { results: 90d }\naccept:",
      /2:23 `results`: results are never deleted: write `forever`/,
    ],
    [
      "a retention of a single day",
      "accept:",
      "retention: { source: 1d }\naccept:",
      /2:22 `source`: give days, at least 2/,
    ],
    [
      "a retention of a name that there is not",
      "accept:",
      "retention: { blob: 90d }\naccept:",
      /2:14 unknown key `blob`[^]*blobs/,
    ],
    [
      "a budget of a name that there is not",
      "accept:",
      "budget: { days_usd: 5 }\naccept:",
      /2:11 unknown key `days_usd`[^]*day_usd/,
    ],
    ["an anchor", "accept: [mp4]", "accept: &a [mp4]", /anchors/],
    ["a tag", "accept: [mp4]", "accept: !js/function 'x'", /tag/i],
    [
      "a tab in the indentation",
      "    uses: stages/words.ts",
      "\tuses: stages/words.ts",
      /pipeline.yaml:\d+:\d+/,
    ],
    ["a list where a map belongs", /^[^]*$/, "- a\n- b\n", /expected object/],
    ["an empty file", /^[^]*$/, "", /`pipeline` is missing/],
  ];
  for (const [title, from, to, expected] of bad) {
    test(`${title} is one clear problem with its place`, () => {
      assert.match(shown(GOOD.replace(from, to)), expected);
    });
  }

  test("stages that need each other are shown as a circle", () => {
    const text = `pipeline: t
accept: [mp4]
stages:
  - { id: a, uses: stages/loop.ts }
  - { id: b, uses: stages/pool.ts }
publish: [x.md]
`;

    assert.match(shown(text), /4:11 the stages need each other in a circle: a → b → a/);
  });

  test("a stage that does not compile is one problem: what others miss of it is none of theirs", () => {
    const { problems } = check(GOOD.replace("stages/words.ts", "stages/broken.ts"));

    assert.deepEqual(
      problems.map(({ message }) => message),
      ["the stage does not compile"],
    );
  });

  test("a YAML bomb is refused at once", () => {
    const levels = Array.from({ length: 30 }, (_, i) => {
      const next = i === 0 ? '"lol"' : Array.from({ length: 9 }, () => `*a${i - 1}`).join(",");
      return `a${i}: &a${i} [${next}]`;
    });

    const { problems } = check(levels.join("\n"));

    assert.match(problems[0]?.message ?? "", /anchors|aliases/);
  });

  test("nesting without end and files without end are refused", () => {
    assert.ok(check("[".repeat(100_000)).problems.length > 0);
    assert.match(check("a".repeat(300_000)).problems[0]?.message ?? "", /too large/);
  });

  test("control codes of the file never reach the terminal", () => {
    const text = `pipeline: "\\e[31mred"\n\u001b[31mkey: 1\n`;

    // oxlint-disable-next-line no-control-regex -- that is what must not be there
    assert.doesNotMatch(shown(text), /\u001b/);
  });

  test("no text makes the parser throw", () => {
    const part = fc.oneof(
      fc.string(),
      fc.constantFrom(
        "stages:",
        "- id: x",
        "\n",
        "  ",
        "{",
        "[",
        "&a",
        "*a",
        "!!js",
        "? ",
        "|",
        ">",
        "---",
        "...",
      ),
    );
    fc.assert(fc.property(fc.array(part), (parts) => void shown(parts.join(""))));
  });

  test("the digest changes with the YAML, the code and the texts, and with nothing else", () => {
    const digest = (text: string): string | undefined => check(text).pipeline?.digest;

    assert.equal(digest(`# a comment\n${GOOD}`), digest(GOOD));
    assert.notEqual(digest(GOOD.replace("limit: 3", "limit: 4")), digest(GOOD));
  });
});
