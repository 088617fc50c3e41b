/**
 * Durable items a second on a trivial stage, with 1, 2 and 4 runner processes on one machine, beside
 * graphile-worker at concurrency 10, in turns; everything with fsync. An item here is claimed, run in a thread,
 * published with a manifest and projected: some twenty durable writes, where a job there is two.
 */
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

import { submitTo } from "../samples/submit-to.ts";
import { loadGraphile } from "./peers/load-peer.ts";
import { median } from "./measure.ts";
import { openOwnRunner, untilReady } from "./peers/own-runner.ts";
import { nowMs, startPeers } from "./peers/start-peers.ts";

/** As many items here as jobs there. */
const ITEMS = 4_000;
/** Of these, not counted: what is measured are services that have run for a while. */
const WARM_UP = 1_000;
const ROUNDS = 3;
/** Each look lists the tickets that are left, on the same two cores. */
const LOOK_MS = 50;
const TARGET = 0.1;
const JOB = "20261124-2200-many-7f3a";

const dir = mkdtempSync(join(tmpdir(), "clipscribe-throughput-"));
const runs: Record<1 | 2 | 4, number[]> = { 1: [], 2: [], 4: [] };
const graphileRuns: number[] = [];
for (let round = 0; round < ROUNDS; round++) {
  for (const processes of [1, 2, 4] as const) {
    runs[processes].push(await measureOwn(processes, join(dir, `own-${processes}-${round}`)));
  }
  graphileRuns.push(await measureGraphile());
}
rmSync(dir, { recursive: true, force: true, maxRetries: 5 });
const own = { 1: median(runs[1]), 2: median(runs[2]), 4: median(runs[4]) };
const graphile = median(graphileRuns);
const best = Math.max(...Object.values(own));
const ratio = best / graphile;
const scales = own[2] >= own[1];
const pass = ratio >= TARGET && scales;
console.log(
  JSON.stringify({
    name: "bench-throughput",
    pass,
    target: { ratio: TARGET, two_not_slower_than_one: true },
    items_a_second: own,
    graphile_a_second: graphile,
    runs: { ...runs, graphile: graphileRuns },
    ratio: Number(ratio.toFixed(3)),
    limited_by: "some ten files made and nine flushed an item, and the thread that does so",
  }),
);
process.exitCode = pass ? 0 : 1;

async function measureOwn(processes: number, at: string): Promise<number> {
  await using runner = await openOwnRunner(at);
  mkdirSync(join(at, "media"));
  const files = Array.from({ length: ITEMS }, (_, index) => {
    const path = join(at, "media", `m${index}.mp4`);
    writeFileSync(path, `medium ${index}`);
    return path;
  });
  await submitTo(runner.store, JOB, "urgent", runner.digest, files, runner.home);
  const children = Array.from({ length: processes }, () => runner.start());
  // Starting takes its time, and is measured elsewhere: from when the last of them works.
  await Promise.all(children.map(untilReady));
  const tickets = join(runner.home, "store", "inbox", "urgent", "me", JOB);
  // The folder goes with its last ticket.
  const countLeft = (): number => (existsSync(tickets) ? readdirSync(tickets).length : 0);
  const untilLeft = async (most: number): Promise<{ left: number; atMs: number }> => {
    for (const deadlineMs = nowMs() + 120_000; nowMs() < deadlineMs; await delay(LOOK_MS)) {
      const left = countLeft();
      if (left <= most) return { left, atMs: nowMs() };
    }
    throw new Error("the items did not end in two minutes");
  };
  const warm = await untilLeft(ITEMS - WARM_UP);
  const end = await untilLeft(0);
  const seconds = (end.atMs - warm.atMs) / 1000;
  const ends = children.map(
    async (child) => new Promise((resolve) => child.once("close", resolve)),
  );
  for (const child of children) child.kill("SIGKILL");
  await Promise.all(ends);
  return Number((warm.left / seconds).toFixed(1));
}

async function measureGraphile(): Promise<number> {
  await using peers = await startPeers();
  const utils = await loadGraphile().makeWorkerUtils({ connectionString: peers.postgres });
  await utils.migrate();
  const jobs = Array.from({ length: ITEMS }, (_, index) => ({
    identifier: "only",
    payload: { id: `job_${index}` },
  }));
  await utils.addJobs(jobs);
  const script = join(import.meta.dirname, "peers", "peer-child.ts");
  const child = spawn(process.execPath, [script, "graphile-worker", peers.postgres, "10"], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  const times: number[] = [];
  child.stdout.on("data", (chunk: Buffer) => {
    for (const [, at] of chunk.toString().matchAll(/^job_\d+ ([\d.]+)$/gm)) times.push(Number(at));
  });
  const deadline = nowMs() + 60_000;
  while (times.length < ITEMS && nowMs() < deadline) await delay(20);
  child.kill("SIGKILL");
  await utils.release();
  const counted = times.toSorted((a, b) => a - b).slice(WARM_UP);
  const seconds = ((counted.at(-1) ?? 0) - (counted[0] ?? 0)) / 1000;
  return Math.round(counted.length / seconds);
}
