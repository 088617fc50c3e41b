/**
 * make campaign-kill SEED=n: kills a run (SIGKILL) before and after each store operation, in the
 * middle of each stage, and has each store operation fail (error, answer lost), for the n-th
 * operation, n = 1, 2, 3 … until a run passes clean. After each: the next run ends in the same
 * published files, no finished stage ran again, nothing half-made is under results.
 */
import { setTimeout as delay } from "node:timers/promises";
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";

import { findHalfMade, makeHome, readPublished, readTrace, runChild } from "./campaign-world.ts";

/** Ends within ten minutes, whatever the machine. */
const BUDGET_MS = 8.5 * 60_000;
const STAGES = 3;
const seed = Number(process.env["SEED"] ?? "1");
const started = performance.now();
const problems: string[] = [];
const counts = { runs: 0, kills: 0, operations: 0, stage_kills: 0 };

const reference = makeHome({ stages: STAGES, items: 1 });
await runChild(reference);
const expected = stripJob(readPublished(reference.results));
reference.remove();
if (Object.keys(expected).length === 0) problems.push("the fault-free run published nothing");

function stripJob(files: Record<string, string>): string {
  const stripped = Object.entries(files).map(
    ([path, sha256]) => `${path.split("/").slice(1).join("/")} ${sha256}`,
  );
  return stripped.toSorted().join("\n");
}

/** One fault in a home of its own, and the run after it. */
async function oneFault(
  at: number,
  mode: "error" | "lost-answer" | "before" | "after",
): Promise<void> {
  const home = makeHome({ stages: STAGES, items: 1, trace: true });
  try {
    const first = await runChild(home, { fail: { at, mode } });
    counts.runs++;
    const wasKilled = first.signal === "SIGKILL";
    if (wasKilled) counts.kills++;
    check(home.results, `${mode} at ${at}, right after`);
    const second = await runChild(home);
    counts.runs++;
    if (second.code !== 0)
      problems.push(
        `${mode} at ${at}: the next run ended with ${second.code}: ${second.stdout.slice(-300)}${second.stderr.slice(-300)}`,
      );
    check(home.results, `${mode} at ${at}, after the next run`);
    const got = stripJob(readPublished(home.results));
    if (got !== expected) problems.push(`${mode} at ${at}: other files were published`);
    // The stages are a chain: one fault can cut off one of them, and only that begins twice.
    const begun = readTrace(home).length;
    if (begun > STAGES + 1) problems.push(`${mode} at ${at}: ${begun} begins of ${STAGES} stages`);
  } finally {
    home.remove();
  }
}

function check(results: string, when: string): void {
  for (const problem of findHalfMade(results)) problems.push(`${when}: ${problem}`);
}

async function countOperations(): Promise<number> {
  const home = makeHome({ stages: STAGES, items: 1, trace: true });
  const file = join(home.dir, "operations");
  await runChild(home, { operations: file });
  const lines = readFileSync(file, "utf8").split("\n").filter(Boolean);
  home.remove();
  return lines.length;
}

/** Kills from outside, in the middle of stage n. */
async function killInStage(n: number): Promise<void> {
  const home = makeHome({ stages: STAGES, items: 1, trace: true, sleepMs: 400 });
  try {
    const child = spawn(process.execPath, [join(import.meta.dirname, "campaign-child.ts")], {
      cwd: home.dir,
      env: {
        PATH: process.env["PATH"],
        HOME: home.dir,
        CLIPSCRIBE_HOME: home.home,
        CAMPAIGN_PLAN: JSON.stringify({ inbox: home.inbox, pipeline: home.pipeline }),
      },
      stdio: "ignore",
    });
    const closed = new Promise((resolve) => child.on("close", resolve));
    for (let tries = 0; tries < 2_000 && readTrace(home).length < n; tries++) await delay(10);
    child.kill("SIGKILL");
    await closed;
    counts.stage_kills++;
    check(home.results, `killed in stage ${n}`);
    const second = await runChild(home);
    counts.runs += 2;
    if (second.code !== 0)
      problems.push(`killed in stage ${n}: the next run ended with ${second.code}`);
    const trace = readTrace(home);
    // Every finished stage began once; the one that was cut off twice.
    if (trace.length !== STAGES + 1)
      problems.push(`killed in stage ${n}: ${trace.length} begins, ${STAGES + 1} expected`);
    check(home.results, `killed in stage ${n}, next run`);
  } finally {
    home.remove();
  }
}

const lastOperation = await countOperations();
counts.operations = lastOperation;
for (let n = 1; n <= STAGES; n++) await killInStage(n);
const modes = ["before", "after", "error", "lost-answer"] as const;
const jobs: [number, (typeof modes)[number]][] = [];
for (let at = 1; at <= lastOperation + 1; at++) for (const mode of modes) jobs.push([at, mode]);
// Another seed walks in another order: what a short budget leaves out differs.
const order = jobs
  .map((job, at) => ({ job, rank: (at * 7919 * seed) % jobs.length }))
  .toSorted((a, b) => a.rank - b.rank);
let done = 0;
const queue = order.values();
const worker = async (): Promise<void> => {
  for (const { job } of queue) {
    if (performance.now() - started > BUDGET_MS) return;
    await oneFault(job[0], job[1]);
    done++;
  }
};
await Promise.all([worker(), worker()]);
for (const problem of problems.slice(0, 20)) console.error(problem);
const isComplete = done === jobs.length;
const pass = problems.length === 0 && isComplete;
console.log(
  JSON.stringify({
    name: "campaign-kill",
    pass,
    seed,
    faults: done,
    of: jobs.length,
    ...counts,
    problems: problems.length,
    seconds: Math.round((performance.now() - started) / 1000),
  }),
);
process.exitCode = pass ? 0 : 1;
