import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";

import { movie } from "../samples/agent-world.ts";

const ROOT = join(import.meta.dirname, "..");

const STAGE = `
import { z } from "zod";
import { defineStage, file } from "../core/stage.ts";
export default defineStage({
  input: { source: file({ mediaType: "*/*" }) },
  output: { out: file({ mediaType: "text/plain", fileName: "out.txt" }) },
  params: z.strictObject({ greeting: z.string(), ms: z.number().default(0) }),
  async run({ params, ctx }) {
    await new Promise((resolve) => setTimeout(resolve, params.ms));
    return { out: await ctx.write("out.txt", params.greeting) };
  },
});
`;

interface Up {
  child: ChildProcess;
  stdout(): string;
  stderr(): string;
  /** The exit code, once it has ended. */
  ended: Promise<number | null>;
  says(text: string | RegExp): Promise<void>;
}

interface World {
  dir: string;
  home: string;
  pipeline: string;
  write(greeting: string, ms?: number): void;
  drop(name: string, content?: Uint8Array | string): void;
  up(args?: string[], env?: Record<string, string>): Up;
  results(): string[];
}

function world(t: TestContext): World {
  const dir = mkdtempSync(join(tmpdir(), "clipscribe-up-"));
  const home = join(dir, "home");
  const pipeline = join(dir, "pipeline.yaml");
  mkdirSync(join(dir, "stages"));
  mkdirSync(join(home, "inbox"), { recursive: true });
  symlinkSync(join(ROOT, "core"), join(dir, "core"));
  writeFileSync(join(dir, "stages", "only.ts"), STAGE);
  const children = new Set<Up>();
  t.after(async () => {
    for (const { child, ended } of children) {
      child.kill("SIGKILL");
      await ended;
    }
    rmSync(dir, { recursive: true, force: true, maxRetries: 5 });
  });
  const w: World = {
    dir,
    home,
    pipeline,
    write(greeting, ms = 0) {
      writeFileSync(
        pipeline,
        `pipeline: test\naccept: [mp4]\nstages:\n  - id: only\n    uses: stages/only.ts\n    with: { greeting: ${greeting}, ms: ${ms} }\npublish: [out.txt]\n`,
      );
    },
    drop: (name, content = movie(name)) => writeFileSync(join(home, "inbox", name), content),
    up(args = [], env = {}) {
      const child = spawn(process.execPath, [join(ROOT, "bin", "clipscribe.ts"), "up", ...args], {
        cwd: dir,
        env: {
          PATH: process.env["PATH"],
          HOME: dir,
          CLIPSCRIBE_HOME: home,
          CLIPSCRIBE_SETTLE_MS: "100",
          CLIPSCRIBE_LEASE_MS: "1000",
          CLIPSCRIBE_SWEEP_MS: "300",
          ...env,
        },
        stdio: ["ignore", "pipe", "pipe"],
      });
      let out = "";
      let err = "";
      child.stdout.on("data", (chunk: Buffer) => (out += chunk.toString()));
      child.stderr.on("data", (chunk: Buffer) => (err += chunk.toString()));
      const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
      const made: Up = {
        child,
        stdout: () => out,
        stderr: () => err,
        ended,
        async says(text) {
          const has = (): boolean =>
            typeof text === "string" ? out.includes(text) : text.test(out);
          for (let tries = 0; tries < 1_500 && !has(); tries++) await delay(10);
          assert.ok(has(), `it never said ${String(text)}:\n${out}\n${err}`);
        },
      };
      children.add(made);
      return made;
    },
    results() {
      const folder = join(home, "results");
      if (!existsSync(folder)) return [];
      const names = readdirSync(folder, { recursive: true, encoding: "utf8" });
      const found = names.filter(
        (name) => name.endsWith("/out.txt") && !name.includes(".incoming"),
      );
      return found.map((name) => readFileSync(join(folder, name), "utf8")).toSorted();
    },
  };
  w.write("hello");
  return w;
}

describe("clipscribe up", () => {
  test("a drop becomes results; it says when the lid must stay open, and ends cleanly", async (t) => {
    const w = world(t);
    w.write("hello", 1_500);
    w.drop("talk.mp4");

    const up = w.up();
    await up.says(/keep the lid open: 1 item/);
    await up.says(/talk: complete → .*results/);
    await up.says("nothing is under way");
    up.child.kill("SIGINT");

    assert.equal(await up.ended, 0, up.stderr());
    assert.deepEqual(w.results(), ["hello"]);
    assert.deepEqual(readdirSync(join(w.home, "done")), ["talk.mp4"]);
    assert.match(up.stdout(), /goes on from here/);
  });

  test("names from outside are safe in a terminal", async (t) => {
    const w = world(t);
    w.drop("\u001b[31mred\u202e.docx", "x");

    const up = w.up();
    await up.says(/red\.docx can't be used/);

    assert.ok(!up.stdout().includes("\u001b[31m"));
    assert.ok(!up.stdout().includes("\u202e"));
  });

  test("a saved pipeline holds for the next item within two seconds, and says what changed", async (t) => {
    const w = world(t);
    const up = w.up();
    await up.says("drop files into");

    w.write("good day");
    const savedMs = performance.now();
    await up.says("greeting changed");
    const tookMs = performance.now() - savedMs;
    w.drop("next.mp4");
    await up.says("next: complete");

    assert.ok(tookMs < 2_000, `it took ${tookMs} ms`);
    assert.deepEqual(w.results(), ["good day"]);
    assert.match(up.stdout(), /only: greeting changed "hello" → "good day"/);
  });

  test("a broken one is shown with its place, and the last good one stays", async (t) => {
    const w = world(t);
    const up = w.up();
    await up.says("drop files into");
    writeFileSync(w.pipeline, readFileSync(w.pipeline, "utf8").replace("uses:", "usse:"));
    await up.says("^");
    w.drop("talk.mp4");
    await up.says("talk: complete");
    w.write("mended");
    await up.says("greeting changed");

    assert.match(up.stdout(), /pipeline\.yaml:5:5/);
    assert.match(up.stdout(), /did you mean/);
    assert.deepEqual(w.results(), ["hello"]);
  });

  test("items under way keep their pipeline, also when the process is killed and the file is another", async (t) => {
    const w = world(t);
    w.write("slow", 3_000);
    const first = w.up();
    await first.says("drop files into");
    w.drop("old.mp4");
    await first.says("handed off");
    await delay(300);
    first.child.kill("SIGKILL");
    await first.ended;
    w.write("new");

    const second = w.up();
    await second.says("old: complete");

    assert.deepEqual(w.results(), ["slow"]);
  });

  test("a second one on the same folder is refused, and says who is there", async (t) => {
    const w = world(t);
    const first = w.up();
    await first.says("drop files into");

    const second = w.up();

    assert.equal(await second.ended, 8);
    assert.match(second.stderr(), new RegExp(`process ${first.child.pid}`));
    const otherHome = w.up([], {
      CLIPSCRIBE_HOME: join(w.dir, "other"),
      CLIPSCRIBE_INBOX: join(w.home, "inbox"),
    });
    assert.equal(await otherHome.ended, 8);
    first.child.kill("SIGKILL");
    await first.ended;
    const third = w.up();
    await third.says("drop files into");
  });

  test("an inbox around its own folders is refused: it would take them for drops", async (t) => {
    const w = world(t);

    const up = w.up([], { CLIPSCRIBE_INBOX: w.dir });

    assert.equal(await up.ended, 2);
    assert.match(up.stderr(), /set CLIPSCRIBE_INBOX/);
  });

  test("--json gives one object a line, each with its type", async (t) => {
    const w = world(t);
    w.drop("talk.mp4");
    const up = w.up(["--json"]);
    await up.says('"type":"result"');
    up.child.kill("SIGTERM");
    await up.ended;

    const lines = up.stdout().trim().split("\n");
    const types = lines.map((line) => (JSON.parse(line) as { type: string }).type);
    for (const type of ["accepted", "item-handed-off", "done", "result", "lid"]) {
      assert.ok(types.includes(type), `${type} in ${types.join(" ")}`);
    }
  });
});
