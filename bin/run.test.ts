import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";

const ROOT = join(import.meta.dirname, "..");
const ENTRY = join(ROOT, "bin", "clipscribe.ts");

interface World {
  dir: string;
  home: string;
  pipeline: string;
  media: (name: string, content?: string) => string;
}

interface End {
  code: number | null;
  stdout: string;
  stderr: string;
  last: {
    status: string;
    job_id: string;
    items: {
      item_id: string;
      status: string;
      path: string | null;
      stages: { id: string; state: string; why: string }[];
      error: { kind: string; message: string; hint: string | null } | null;
    }[];
  };
}

const STAGE = `
import { appendFileSync } from "node:fs";
import { z } from "zod";
import { ClipscribeError } from "../core/errors.ts";
import { defineStage, file, json } from "../core/stage.ts";
import { words } from "./words.ts";
export default defineStage({
  input: { source: file({ mediaType: "*/*" }), sidecars: { kind: "files", mediaType: "text/plain", fileName: null, optional: false } },
  output: { out: file({ mediaType: "text/plain", fileName: "out.txt" }) },
  params: z.strictObject({ greeting: z.string().default("hello"), text: z.string().default("note.txt"), trace: z.string().default("") }),
  textParams: ["text"],
  async run({ input, params, ctx }) {
    const text = await ctx.readText(input.source);
    if (params.trace !== "") appendFileSync(params.trace, "ran\\n");
    if (text.startsWith("hold")) throw new ClipscribeError("config", "no provider is configured", { hint: "configure one" });
    if (text.startsWith("fail")) throw new ClipscribeError("contract", "this can't be read");
    if (text.startsWith("crash")) process.kill(process.pid, "SIGKILL");
    if (text.startsWith("loop")) for (;;);
    if (text.startsWith("slow")) { appendFileSync(params.trace, "slow\\n"); await new Promise((r) => setTimeout(r, 60_000)); }
    return { out: await ctx.write("out.txt", [params.greeting, params.text, text, words].join("|")) };
  },
});
`;

/** A home, a pipeline of one small stage, and media that are short texts. */
function world(t: TestContext): World {
  const dir = mkdtempSync(join(tmpdir(), "clipscribe-run-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  mkdirSync(join(dir, "stages"));
  mkdirSync(join(dir, "media"));
  symlinkSync(join(ROOT, "core"), join(dir, "core"));
  writeFileSync(join(dir, "stages", "only.ts"), STAGE);
  writeFileSync(join(dir, "stages", "words.ts"), 'export const words = "v1";\n');
  writeFileSync(join(dir, "note.txt"), "note");
  const pipeline = join(dir, "pipeline.yaml");
  writeFileSync(
    pipeline,
    `pipeline: test\naccept: [mp4]\nstages:\n  - id: only\n    uses: stages/only.ts\n    timeout: 2s\n    with: { greeting: hello, trace: "${join(dir, "trace")}" }\npublish: [out.txt]\n`,
  );
  return {
    dir,
    home: join(dir, "home"),
    pipeline,
    media(name, content = name) {
      const path = join(dir, "media", name);
      mkdirSync(join(path, ".."), { recursive: true });
      writeFileSync(path, content);
      return path;
    },
  };
}

function start(
  w: World,
  args: string[],
  env: Record<string, string> = {},
): ReturnType<typeof spawn> {
  return spawn(process.execPath, [ENTRY, ...args], {
    cwd: w.dir,
    env: {
      PATH: process.env["PATH"],
      HOME: w.dir,
      CLIPSCRIBE_HOME: w.home,
      CLIPSCRIBE_LEASE_MS: "1000",
      CLIPSCRIBE_SWEEP_MS: "300",
      ...env,
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
}

function finish(child: ReturnType<typeof spawn>): Promise<End> {
  return new Promise((resolve) => {
    let stdout = "";
    let stderr = "";
    child.stdout?.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr?.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
    child.on("close", (code) => {
      const line = stdout.trim().split("\n").at(-1) ?? "";
      const last = (line.startsWith("{") ? JSON.parse(line) : {}) as End["last"];
      resolve({ code, stdout, stderr, last });
    });
  });
}

const run = async (w: World, args: string[], env: Record<string, string> = {}): Promise<End> =>
  finish(start(w, ["run", "--json", ...args], env));
const ranTimes = (w: World): number =>
  existsSync(join(w.dir, "trace"))
    ? readFileSync(join(w.dir, "trace"), "utf8").split("ran").length - 1
    : 0;

describe("clipscribe run", () => {
  test("a file gives a folder that sha256sum verifies; again nothing runs; the stage is reused", async (t) => {
    const w = world(t);
    const path = w.media("Élan vital (2).mp4");

    const first = await run(w, [path]);
    const second = await run(w, [path]);

    assert.equal(first.code, 0);
    assert.match(first.last.job_id, /^run-elan-vital-2-[0-9a-f]{8}$/);
    const folder = first.last.items[0]?.path ?? "";
    assert.equal(readFileSync(join(folder, "out.txt"), "utf8"), "hello|note|Élan vital (2).mp4|v1");
    execFileSync("sha256sum", ["-c", "--quiet", "manifest-sha256.txt"], { cwd: folder });
    assert.deepEqual(
      second.last.items[0]?.stages.map(({ state }) => state),
      ["reused"],
    );
    assert.equal(second.last.items[0]?.path, folder);
    assert.equal(ranTimes(w), 1);
  });

  test("a changed param, text and import each run the stage again, and say why", async (t) => {
    const w = world(t);
    const path = w.media("a.mp4");
    await run(w, [path]);

    writeFileSync(
      w.pipeline,
      readFileSync(w.pipeline, "utf8").replace("greeting: hello", "greeting: bye"),
    );
    const param = await run(w, [path]);
    writeFileSync(join(w.dir, "note.txt"), "other note");
    const text = await run(w, [path]);
    writeFileSync(join(w.dir, "stages", "words.ts"), 'export const words = "v2 now";\n');
    const code = await run(w, [path]);

    const why = (end: End): string => end.last.items[0]?.stages[0]?.why ?? "";
    assert.equal(why(param), 'params.greeting changed "hello" → "bye"');
    assert.equal(why(text), "params.text: the file's text changed");
    assert.equal(why(code), "code changed");
    assert.equal(
      readFileSync(join(code.last.items[0]?.path ?? "", "out.txt"), "utf8"),
      "bye|other note|a.mp4|v2 now",
    );
  });

  test("a folder keeps its items' ids when files are added, and only the new one runs", async (t) => {
    const w = world(t);
    w.media("talk.mp4", "one");
    w.media("b/talk.mp4", "two");
    const before = await run(w, [join(w.dir, "media")]);
    w.media("a/talk.mp4", "three");
    const after = await run(w, [join(w.dir, "media")]);

    const ids = (end: End): string[] => end.last.items.map(({ item_id }) => item_id);
    assert.equal(before.code, 0);
    assert.equal(ids(after).length, 3);
    assert.ok(ids(before).every((id) => ids(after).includes(id)));
    assert.equal(ranTimes(w), 3);
  });

  test("held, failed and good items end side by side, each with what to do", async (t) => {
    const w = world(t);
    w.media("good.mp4");
    w.media("held.mp4", "hold");
    w.media("bad.mp4", "fail");
    w.media("empty.mp4", "");

    const { code, last } = await run(w, [join(w.dir, "media")]);

    const statuses = Object.fromEntries(last.items.map(({ item_id, status }) => [item_id, status]));
    assert.deepEqual(statuses, {
      good: "complete",
      held: "held",
      bad: "failed",
      "empty.mp4": "failed",
    });
    assert.equal(code, 5);
    assert.equal(
      last.items.find(({ item_id }) => item_id === "held")?.error?.hint,
      "configure one",
    );
    assert.ok(readdirSync(join(w.home, "store", "dead", "me")).length === 1);
  });

  test("a held item alone exits with 6, a failed one with 5, a refused one with 3", async (t) => {
    const w = world(t);

    assert.equal((await run(w, [w.media("held.mp4", "hold")])).code, 6);
    assert.equal((await run(w, [w.media("bad.mp4", "fail")])).code, 5);
    assert.equal((await run(w, [w.media("empty.mp4", "")])).code, 3);
    assert.equal((await run(w, [w.media("notes.docx", "x")])).code, 3);
    assert.equal((await run(w, [join(w.dir, "nothing.mp4")])).code, 3);
  });

  const names = [
    "new\nline.mp4",
    "quote\"'s.mp4",
    "😀🎬.mp4",
    "cafe\u0301.mp4",
    `${"n".repeat(251)}.mp4`,
    "-rf.mp4",
    "$(touch pwned).mp4",
    "a\\b.mp4",
    "trailing..mp4",
  ];
  test("names of every kind give a folder each, and nothing is executed", async (t) => {
    const w = world(t);
    for (const name of names) w.media(name);

    const { code, last } = await run(w, [join(w.dir, "media")]);

    assert.equal(code, 0);
    assert.equal(new Set(last.items.map(({ item_id }) => item_id)).size, names.length);
    assert.ok(last.items.every(({ item_id }) => /^[a-z0-9-]+$/.test(item_id)));
    assert.ok(!existsSync(join(w.dir, "pwned")));
  });

  test("a stage stuck in a loop is ended when its time is up", async (t) => {
    const w = world(t);

    const { last } = await run(w, [w.media("loop.mp4", "loop")]);

    assert.match(last.items[0]?.error?.message ?? "", /ran out of time/);
  });

  test("an item that brings its runner down five times in a row fails, and the others go on", async (t) => {
    const w = world(t);
    const poison = w.media("poison.mp4", "crash");
    for (let attempt = 0; attempt < 5; attempt++) assert.equal((await run(w, [poison])).code, null);

    const { code, last } = await run(w, [poison]);
    const other = await run(w, [w.media("good.mp4")]);

    assert.equal(code, 5);
    assert.match(last.items[0]?.error?.message ?? "", /5 claims in a row ended no stage/);
    assert.equal(other.code, 0);
  });

  test("Ctrl-C gives the item back and exits with 130; the next run does it", async (t) => {
    const w = world(t);
    writeFileSync(
      w.pipeline,
      readFileSync(w.pipeline, "utf8").replace("timeout: 2s", "timeout: 60s"),
    );
    const path = w.media("slow.mp4", "slow");
    const child = start(w, ["run", "--json", path]);
    const ended = finish(child);
    while (!existsSync(join(w.dir, "trace"))) await delay(20);
    child.kill("SIGINT");

    const { code, last } = await ended;

    assert.equal(code, 130);
    assert.equal(last.status, "cancelled");
    const item = readFileSync(
      join(w.home, "store", "jobs", "me", last.job_id, "items", "slow.json"),
      "utf8",
    );
    assert.deepEqual(
      [JSON.parse(item).status, JSON.parse(item).attempts, JSON.parse(item).owner],
      ["queued", 0, null],
    );
  });

  test("two processes on one file at once: one works, both end with the same folder", async (t) => {
    const w = world(t);
    const path = w.media("a.mp4");

    const [one, two] = await Promise.all([run(w, [path]), run(w, [path])]);

    assert.deepEqual([one.code, two.code], [0, 0]);
    assert.equal(one.last.items[0]?.path, two.last.items[0]?.path);
    assert.equal(ranTimes(w), 1);
  });

  test("results that a person changed are kept beside the new ones; deleted ones come back", async (t) => {
    const w = world(t);
    const path = w.media("a.mp4");
    const folder = (await run(w, [path])).last.items[0]?.path ?? "";
    rmSync(folder, { recursive: true });
    await run(w, [path]);
    assert.ok(existsSync(join(folder, "out.txt")));

    appendFileSync(join(folder, "out.txt"), " and my note");
    writeFileSync(
      w.pipeline,
      readFileSync(w.pipeline, "utf8").replace("greeting: hello", "greeting: bye"),
    );
    await run(w, [path]);

    assert.match(readFileSync(join(folder, "out.txt"), "utf8"), /^bye/);
    assert.match(readFileSync(join(`${folder}.mine`, "out.txt"), "utf8"), /and my note$/);
  });

  test("the results of many items come whole; trouble is said for each, and the next run brings them", async (t) => {
    const w = world(t);
    // From 32 on, a thread of its own brings them.
    for (let at = 0; at < 33; at++) w.media(`clip-${at}.mp4`, `text ${at}`);
    const folder = join(w.dir, "media");
    const blocked = join(w.dir, "blocked");
    writeFileSync(blocked, "a file where the folder should be");
    const first = await run(w, [folder], { CLIPSCRIBE_RESULTS: blocked });
    renameSync(blocked, `${blocked}.away`);
    const second = await run(w, [folder], { CLIPSCRIBE_RESULTS: blocked });
    const [some] = second.last.items;
    appendFileSync(join(some?.path ?? "", "out.txt"), " and my note");
    writeFileSync(
      w.pipeline,
      readFileSync(w.pipeline, "utf8").replace("greeting: hello", "greeting: bye"),
    );
    const third = await run(w, [folder], { CLIPSCRIBE_RESULTS: blocked });

    const said = first.last.items.map(({ status, error }) => `${status}: ${error?.message}`);
    const expected = /^failed: a file is where the results folder should be/;
    assert.equal(said.filter((each) => expected.test(each)).length, 33);
    assert.deepEqual([first.code, second.code, third.code], [5, 0, 0]);
    assert.deepEqual(
      second.last.items.map(({ path }) => readdirSync(path ?? "").toSorted()),
      second.last.items.map(() => ["manifest-sha256.txt", "manifest.json", "out.txt"]),
    );
    for (const { path } of third.last.items) {
      assert.match(readFileSync(join(path ?? "", "out.txt"), "utf8"), /^bye/);
    }
    assert.match(readFileSync(join(`${some?.path}.mine`, "out.txt"), "utf8"), /and my note$/);
    assert.equal(ranTimes(w), 66);
  });

  test("a results folder that can't be written is said, and the next run brings the results", async (t) => {
    const w = world(t);
    const path = w.media("a.mp4");
    const blocked = join(w.dir, "blocked");
    writeFileSync(blocked, "a file where the folder should be");

    const first = await run(w, [path], { CLIPSCRIBE_RESULTS: blocked });
    renameSync(blocked, `${blocked}.away`);
    const second = await run(w, [path], { CLIPSCRIBE_RESULTS: blocked });

    assert.deepEqual([first.code, second.code], [5, 0]);
    assert.match(first.last.items[0]?.error?.message ?? "", /^a file is where the results folder/);
    assert.equal(ranTimes(w), 1);
    assert.ok(existsSync(join(second.last.items[0]?.path ?? "", "out.txt")));
  });

  test("damaged and vanished blobs are made again, never published", async (t) => {
    const w = world(t);
    const path = w.media("a.mp4", "x".repeat(40_000));
    const folder = (await run(w, [path])).last.items[0]?.path ?? "";
    const blobs = join(w.home, "store", "blobs", "me");
    const whole = readFileSync(join(folder, "out.txt"));
    for (const name of readdirSync(blobs)) truncateSync(join(blobs, name), 10);
    rmSync(folder, { recursive: true });

    const healed = await run(w, [path]);

    assert.equal(healed.code, 0);
    assert.deepEqual(readFileSync(join(folder, "out.txt")), whole);
  });

  test("a bad pipeline.yaml shows every problem and exits with 2", async (t) => {
    const w = world(t);
    writeFileSync(w.pipeline, "pipeline: test\nacept: [mp4]\nstages: []\npublish: [a]\n");

    const { code, stderr } = await finish(start(w, ["run", w.media("a.mp4")]));

    assert.equal(code, 2);
    assert.match(stderr, /pipeline\.yaml:2:1 unknown key `acept`/);
    assert.match(stderr, /did you mean `accept`\?/);
  });

  test("secrets of the environment are in no log, record or report", async (t) => {
    const w = world(t);
    const canary = "canary-5f0c-secret";

    const { stdout, stderr } = await run(w, [w.media("a.mp4"), "--verbose"], {
      XAI_API_KEY: canary,
      MISTRAL_API_KEY: canary,
    });
    const shown = await finish(start(w, ["config", "show"], { XAI_API_KEY: canary }));

    const files = readdirSync(w.home, { recursive: true, withFileTypes: true }).filter((each) =>
      each.isFile(),
    );
    const texts = files.map((each) => readFileSync(join(each.parentPath, each.name), "latin1"));
    assert.ok(![stdout, stderr, shown.stdout, ...texts].some((text) => text.includes(canary)));
  });
});
