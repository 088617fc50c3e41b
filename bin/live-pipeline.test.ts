import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";

import type { Sha256 } from "../core/ids.ts";
import { makeTinyProject } from "../samples/tiny-project.ts";
import { openLivePipeline } from "./live-pipeline.ts";

const DAY_MS = 24 * 60 * 60 * 1000;
const QUIET = { onChange: () => undefined, onRefused: () => undefined };

describe("what a process keeps of its pipelines", () => {
  test("another one's is not forgotten while it may be about to take on an item", async (t) => {
    const { home, write } = makeHome(t);
    const first = await open(t, write(1), home);

    await open(t, write(2), home);

    assert.ok(readdirSync(join(home, "pipelines")).includes(`${first}.json`));
  });

  test("one that no item needs is forgotten after a day", async (t) => {
    const { home, write } = makeHome(t);
    const first = await open(t, write(1), home);
    const before = new Date(Date.now() - 2 * DAY_MS);
    utimesSync(join(home, "pipelines", `${first}.json`), before, before);

    const second = await open(t, write(2), home);

    assert.deepEqual(readdirSync(join(home, "pipelines")), [`${second}.json`]);
  });

  test("processes that start at once do not stand in each other's way", async (t) => {
    const { dir, home, write } = makeHome(t);
    const program = join(dir, "start.ts");
    const from = pathToFileURL(join(import.meta.dirname, "live-pipeline.ts")).href;
    writeFileSync(
      program,
      `import { openLivePipeline } from ${JSON.stringify(from)};
       const quiet = { onChange() {}, onRefused() {} };
       for (let start = 0; start < 40; start++) {
         using live = await openLivePipeline(process.argv[2], process.argv[3], new Set(), quiet);
       }`,
    );
    const file = write(1);
    const start = async () => promisify(execFile)(process.execPath, [program, file, home]);

    await Promise.all(Array.from({ length: 4 }, start));

    assert.equal(readdirSync(join(home, "pipelines")).length, 1);
  });
});

async function open(t: TestContext, file: string, home: string): Promise<Sha256> {
  const live = await openLivePipeline(file, home, new Set(), QUIET);
  t.after(() => live[Symbol.dispose]());
  return live.current().digest;
}

function makeHome(t: TestContext) {
  const dir = mkdtempSync(join(tmpdir(), "clipscribe-live-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const writeAs = makeTinyProject(dir);
  const write = (ms: number): string => writeAs(`pipeline-${ms}.yaml`, ms);
  return { dir, home: join(dir, "home"), write };
}
