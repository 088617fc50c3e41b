/**
 * A runner is killed with kill -9 while it works: how long until another one runs the item. On one
 * machine, and on the emulated bucket, each with the lease that it has by default.
 */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { openDiskStore } from "../adapters/disk/disk-store.ts";
import { loadPipeline } from "../bin/load-pipeline.ts";
import { openCloudWorld } from "../samples/cloud-world.ts";
import { submitTo } from "../samples/submit-to.ts";
import { median } from "./measure.ts";

const TRIES = 3;
const LEASE_MS = { embedded: 10_000, r2: 30_000 };
const ROOT = join(import.meta.dirname, "..");

const dir = mkdtempSync(join(tmpdir(), "clipscribe-recovery-"));
const pipeline = makePipeline();
const { digest } = (await loadPipeline(pipeline, join(dir, "bundles"))).pipeline;
const embedded: number[] = [];
for (let index = 0; index < TRIES; index++) embedded.push(await onOneMachine(index));
const r2 = await Promise.all(Array.from({ length: TRIES }, async (_, index) => onBucket(index)));
rmSync(dir, { recursive: true, force: true, maxRetries: 5 });
const figures = { embedded_s: median(embedded) / 1000, r2_s: median(r2) / 1000 };
const pass = Math.max(...embedded) <= 2 * LEASE_MS.embedded && Math.max(...r2) <= 2 * LEASE_MS.r2;
console.log(
  JSON.stringify({
    name: "bench-recovery",
    pass,
    target_s: { embedded: 20, r2: 60 },
    ...figures,
    embedded_worst_s: Math.max(...embedded) / 1000,
    r2_worst_s: Math.max(...r2) / 1000,
  }),
);
process.exitCode = pass ? 0 : 1;

async function onOneMachine(index: number): Promise<number> {
  const home = join(dir, `home-${index}`);
  const start = (): ChildProcess =>
    spawn(
      process.execPath,
      [join(ROOT, "bin", "clipscribe.ts"), "runner", "--pipeline", pipeline, "--json", "--verbose"],
      {
        env: { PATH: process.env["PATH"], HOME: dir, CLIPSCRIBE_HOME: home },
        stdio: ["ignore", "pipe", "pipe"],
      },
    );
  mkdirSync(join(home, "store"), { recursive: true });
  const file = join(dir, `embedded-${index}.mp4`);
  writeFileSync(file, `medium ${index}`);
  const store = openDiskStore({ root: join(home, "store") });
  await submitTo(store, `20261124-2200-recovery-000${index}`, "urgent", digest, [file], home);
  await store[Symbol.asyncDispose]();
  return measure(start);
}

async function onBucket(index: number): Promise<number> {
  await using cloud = await openCloudWorld(pipeline);
  const env = { CLIPSCRIBE_LEASE_MS: "", CLIPSCRIBE_SWEEP_MS: "" };
  const file = join(dir, `bucket-${index}.mp4`);
  writeFileSync(file, `medium ${index}`);
  await cloud.submit(`20261124-2200-recovery-000${index}`, "urgent", digest, [file]);
  let count = 0;
  // Awaited here: the cloud goes when this returns.
  return await measure(() => cloud.startRunner(`r${count++}`, { env, args: ["--verbose"] }));
}

/** Milliseconds from the kill to the stage's start elsewhere; both runners are up before. */
async function measure(start: () => ChildProcess): Promise<number> {
  const first = start();
  await heard(first, /"stage-started"/);
  const second = start();
  await heard(second, /"ready"/);
  // Whoever comes later has to have seen the other alive.
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  const killedAt = performance.now();
  first.kill("SIGKILL");
  await heard(second, /"stage-started"/);
  const took = performance.now() - killedAt;
  second.kill("SIGKILL");
  return took;
}

async function heard(child: ChildProcess, what: RegExp): Promise<void> {
  child.stdout?.resume();
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${what} was not said`)), 120_000);
    child.stderr?.on("data", (chunk: Buffer) => {
      if (!what.test(chunk.toString())) return;
      clearTimeout(timer);
      resolve();
    });
  });
}

function makePipeline(): string {
  mkdirSync(join(dir, "stages"));
  cpSync(join(ROOT, "core"), join(dir, "core"), { recursive: true });
  symlinkSync(join(ROOT, "node_modules"), join(dir, "node_modules"));
  writeFileSync(
    join(dir, "stages", "slow.ts"),
    `import { z } from "zod";
import { defineStage, file } from "../core/stage.ts";
export default defineStage({
  input: { source: file({ mediaType: "*/*" }) },
  output: { out: file({ mediaType: "text/plain", fileName: "out.txt" }) },
  params: z.strictObject({}),
  async run({ ctx }) {
    await new Promise((resolve) => setTimeout(resolve, 600_000));
    return { out: await ctx.write("out.txt", "done") };
  },
});
`,
  );
  const path = join(dir, "pipeline.yaml");
  writeFileSync(
    path,
    "pipeline: slow\naccept: [mp4]\nstages:\n  - id: slow\n    uses: stages/slow.ts\npublish: [out.txt]\n",
  );
  return path;
}
