/**
 * make bench-resume: an upload of 2 GB is cut by kill -9 when 60 % of its bytes have arrived, and run
 * again. Counted at a sink that keeps the parts' names and none of their bytes: what the second run
 * sends. Beside it rclone, cut and run again in the same way. Target: less than 45 % of the file.
 * SIZE_MB.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

import { report, round } from "./measure.ts";
import { writeRandomFile } from "./peers/random-file.ts";
import { findRclones, rcloneEnv } from "./peers/rclone.ts";
import { startSink } from "./peers/start-sink.ts";

const SIZE_BYTES = Number(process.env["SIZE_MB"] ?? 2_000) * 1_000_000;
const CUT_AT = 0.6;
const TARGET = 0.45;
const LOOK_MS = 5;
const MAX_MS = 4 * 60_000;
const CHILD = join(import.meta.dirname, "upload-child.ts");

interface Command {
  program: string;
  args: string[];
  env: Record<string, string>;
}

interface Resumed {
  name: string;
  /** Shares of the file. */
  arrived_before_the_cut: number;
  sent_again_in_all: number;
  seconds_of_the_second_run: number;
}

const dir = mkdtempSync(join(tmpdir(), "clipscribe-bench-resume-"));
try {
  const file = join(dir, "video.mp4");
  writeRandomFile(file, SIZE_BYTES);
  await using sink = await startSink();
  const { place } = sink;
  const plan = join(dir, "plan.json");
  writeFileSync(plan, JSON.stringify({ ...place, files: [file], home: dir, limit: null }));
  const ours = await cutAndResume("clipscribe", place.endpoint, {
    program: process.execPath,
    args: [CHILD, plan],
    env: { HOME: dir },
  });
  const theirs: Resumed[] = [];
  for (const { name, program } of findRclones()) {
    await fetch(`${place.endpoint}/_sink`, { method: "DELETE" });
    const to = `r2:${place.bucket}/rclone.mp4`;
    const chunks = ["--s3-chunk-size=16M", "--s3-upload-cutoff=16M"];
    const args = ["copyto", ...chunks, "--s3-upload-concurrency=4", file, to];
    const env = rcloneEnv(place, dir);
    theirs.push(await cutAndResume(name, place.endpoint, { program, args, env }));
  }
  report({
    name: "bench-resume",
    pass: ours.sent_again_in_all < TARGET && ours.arrived_before_the_cut >= CUT_AT,
    size_mb: SIZE_BYTES / 1_000_000,
    target: TARGET,
    ours,
    theirs,
  });
} finally {
  rmSync(dir, { recursive: true, force: true });
}

async function cutAndResume(name: string, endpoint: string, command: Command): Promise<Resumed> {
  const first = start(command);
  const startedMs = performance.now();
  while ((await receivedBytes(endpoint)) < CUT_AT * SIZE_BYTES) {
    if (first.child.exitCode !== null) throw new Error(`${name} ended before it was cut`);
    if (performance.now() - startedMs > MAX_MS) throw new Error(`${name} does not get that far`);
    await delay(LOOK_MS);
  }
  first.child.kill("SIGKILL");
  await first.closed;
  const before = await receivedBytes(endpoint);
  const againMs = performance.now();
  const second = start(command);
  if ((await second.closed) !== 0) throw new Error(`${name} does not go on`);
  const after = await receivedBytes(endpoint);
  return {
    name,
    arrived_before_the_cut: round(before / SIZE_BYTES),
    sent_again_in_all: round((after - before) / SIZE_BYTES),
    seconds_of_the_second_run: round((performance.now() - againMs) / 1000),
  };
}

function start({ program, args, env }: Command) {
  const child = spawn(program, args, {
    env: { PATH: process.env["PATH"], ...env },
    stdio: ["ignore", "ignore", "inherit"],
  });
  return {
    child,
    closed: new Promise<number | null>((resolve) => child.once("close", resolve)),
  };
}

async function receivedBytes(endpoint: string): Promise<number> {
  const answer = await fetch(`${endpoint}/_sink`);
  return ((await answer.json()) as { bytes: number }).bytes;
}
