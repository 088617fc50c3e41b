import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";
import { pathToFileURL } from "node:url";

import { isKind } from "../../core/errors.ts";
import type { MadeArtifact, StageHost, StagePool } from "../../ports/stage-pool.ts";
import { serveStage } from "../../runner/stage-port.ts";
import { openThreadStagePool } from "./thread-stage-pool.ts";

const ROOT = join(import.meta.dirname, "..", "..");

describe("the pool of stage threads", () => {
  test("a stage gets its params, and what it returns comes back", async (t) => {
    const w = openWorld(t);

    const made = await w.run("return { out: { said: params.say } }", { params: { say: "hello" } });

    assert.deepEqual(textOf(made), { said: "hello" });
  });

  test("one stage after another has the same thread", async (t) => {
    const w = openWorld(t);
    const body = "globalThis.count = (globalThis.count ?? 0) + 1; return { out: globalThis.count }";

    const counts = [await w.run(body), await w.run(body), await w.run(body)];

    assert.deepEqual(counts.map(textOf), [1, 2, 3]);
  });

  test("all that a stage said before it returned is heard before it has ended", async (t) => {
    const w = openWorld(t);

    await w.run("for (let i = 0; i < 500; i++) ctx.incomplete(String(i)); return { out: 1 }");

    assert.equal(w.heard.length, 500);
    assert.equal(w.heard.at(-1), "499");
  });

  test("what a stage says after it has returned is not taken for the next one's", async (t) => {
    const w = openWorld(t);
    const late = "setTimeout(() => ctx.incomplete('late'), 20); return { out: 1 }";
    const next =
      "await new Promise((r) => setTimeout(r, 100)); ctx.incomplete('own'); return { out: 2 }";

    await w.run(late);
    await w.run(next);

    assert.deepEqual(w.heard, ["own"]);
  });

  test("no more stages run at once than there are threads, and the others follow", async (t) => {
    const w = openWorld(t, { maxThreads: 2 });
    const body = `
      const now = Date.now();
      await new Promise((r) => setTimeout(r, 60));
      return { out: [now, Date.now()] };`;

    const all = await Promise.all(Array.from({ length: 5 }, () => w.run(body)));

    const spans = all.map((made) => textOf(made) as [number, number]);
    for (const [start] of spans) {
      const under = spans.filter(([from, to]) => from <= start && start < to);
      assert.ok(under.length <= 2, `${under.length} at once`);
    }
  });

  test("a stage that hears of its abort ends politely, and its thread goes on", async (t) => {
    const w = openWorld(t);
    await w.run("globalThis.mine = true; return { out: 1 }");
    const abort = new AbortController();
    const waits = w.run(
      "ctx.incomplete('begun'); await new Promise((_, no) => ctx.signal.addEventListener('abort', () => no(ctx.signal.reason)))",
      { signal: abort.signal, onIncomplete: () => abort.abort(new Error("enough")) },
    );

    await assert.rejects(waits, /enough/);

    assert.equal(textOf(await w.run("return { out: globalThis.mine === true }")), true);
  });

  test("a stage that does not end when its time is up loses its thread", async (t) => {
    const w = openWorld(t, { maxThreads: 1 });

    const endless = w.run("for (;;);", { timeoutMs: 50 });
    const next = w.run("return { out: 'next' }");

    await assert.rejects(
      endless,
      (error) => isKind(error, "contract") && /out of time/.test(`${error}`),
    );
    assert.equal(textOf(await next), "next");
  });

  test("a stage that ends its thread has failed, and the next one gets another", async (t) => {
    const w = openWorld(t, { maxThreads: 1 });

    const leaves = w.run("process.exit(0)");
    const next = w.run("return { out: 'next' }");

    await assert.rejects(leaves, (error) => isKind(error, "contract"));
    assert.equal(textOf(await next), "next");
  });

  test("what a stage left behind that throws takes the thread, and the pool goes on", async (t) => {
    const w = openWorld(t);
    await w.run(`
      globalThis.isOld = true;
      setTimeout(() => { throw new Error("left behind") }, 5);
      return { out: 1 }`);
    const look = "return { out: globalThis.isOld === true }";

    const isOld = async (): Promise<unknown> => w.run(look).then(textOf, () => true);
    for (let tries = 0; (await isOld()) !== false; tries++) {
      assert.ok(tries < 500);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  });

  test("a stage that waits for a thread leaves the queue when it is aborted", async (t) => {
    const w = openWorld(t, { maxThreads: 1 });
    const abort = new AbortController();
    const first = w.run("await new Promise((r) => setTimeout(r, 100)); return { out: 'first' }");
    const second = w.run("return { out: 'second' }", { signal: abort.signal });
    const third = w.run("return { out: 'third' }");

    abort.abort(new Error("not wanted"));

    await assert.rejects(second, /not wanted/);
    assert.deepEqual([textOf(await first), textOf(await third)], ["first", "third"]);
  });

  test("a pool that is closed ends what runs and starts nothing that waits", async (t) => {
    const w = openWorld(t, { maxThreads: 1 });
    const runs = w.run("for (;;);");
    const waits = w.run("return { out: 1 }");
    const both = Promise.allSettled([runs, waits]);

    await w.pool.close();

    assert.deepEqual(
      (await both).map(({ status }) => status),
      ["rejected", "rejected"],
    );
    await assert.rejects(w.run("return { out: 1 }"), (error) => isKind(error, "cancelled"));
  });
});

interface RunOptions {
  params?: Record<string, unknown>;
  signal?: AbortSignal;
  timeoutMs?: number;
  onIncomplete?: () => void;
}

interface World {
  pool: StagePool;
  heard: string[];
  run(body: string, options?: RunOptions): Promise<Record<string, MadeArtifact>>;
}

function openWorld(t: TestContext, { maxThreads = 1 } = {}): World {
  const dir = mkdtempSync(join(tmpdir(), "clipscribe-threads-"));
  const workerPath = join(ROOT, "runner", "stage-worker.ts");
  const pool = openThreadStagePool({ workerPath, maxThreads, serve: serveStage });
  t.after(async () => {
    await pool.close();
    rmSync(dir, { recursive: true, force: true });
  });
  const heard: string[] = [];
  let bundles = 0;
  return {
    pool,
    heard,
    async run(body, { params = {}, signal = t.signal, timeoutMs = 20_000, onIncomplete } = {}) {
      const bundlePath = join(dir, `${bundles++}.mjs`);
      const from = (path: string): string => JSON.stringify(pathToFileURL(join(ROOT, path)).href);
      writeFileSync(
        bundlePath,
        `import { z } from ${from("node_modules/zod/index.js")};
         import { defineStage, json } from ${from("core/stage.ts")};
         export default defineStage({
           input: {}, output: { out: json(z.any()) }, params: z.looseObject({}),
           async run({ params, ctx }) { ${body} },
         });`,
      );
      const refuse = (): Promise<never> => Promise.reject(new Error("nobody asks"));
      const host: StageHost = {
        tool: refuse,
        transcribe: refuse,
        chat: refuse,
        paid: refuse,
        incomplete(why) {
          heard.push(why);
          onIncomplete?.();
        },
        progress: () => undefined,
        log: () => undefined,
      };
      const task = {
        bundlePath,
        inputs: {},
        params,
        scratchDir: join(dir, "scratch"),
        provider: null,
      };
      return pool.run(task, host, { timeoutMs, signal });
    },
  };
}

function textOf(made: Record<string, MadeArtifact>): unknown {
  const content = made["out"]?.content;
  return content?.kind === "text" ? (JSON.parse(content.text) as unknown) : undefined;
}
