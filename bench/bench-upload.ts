/**
 * make bench-upload: 1 GiB, end to end, beside `rclone copyto`, in turns. Ours is hashed (SHA-256)
 * before it is sent and again as it is sent, and its ETag is compared; rclone hashes MD5 only, and in
 * a second column (`--s3-disable-checksum`) not even that of the whole. Against a sink that keeps nothing
 * (what the client can do), and against the emulator (which hashes and writes on the same two
 * cores). Target: at least twice the MB/s of `rclone copy` at the sink, Debian's and a current one, whose
 * program RCLONE_CURRENT names. SIZE_MB, ROUNDS.
 */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { median, report, round } from "./measure.ts";
import { writeRandomFile } from "./peers/random-file.ts";
import { bundleChild } from "./peers/bundle-child.ts";
import { findRclones, rcloneEnv } from "./peers/rclone.ts";
import type { S3Place } from "./peers/rclone.ts";
import { startEmulator, startSink } from "./peers/start-sink.ts";
import type { StartedPlace } from "./peers/start-sink.ts";
import { runTimed } from "./peers/timed-child.ts";
import type { Timed } from "./peers/timed-child.ts";

const SIZE_BYTES = Number(process.env["SIZE_MB"] ?? 1024) * 1024 * 1024;
const ROUNDS = Number(process.env["ROUNDS"] ?? 5);
/** The emulator takes several times as long, and is the second column only. */
const EMULATOR_ROUNDS = Math.min(3, ROUNDS);
const BUDGET_MS = 8 * 60_000;
const TARGET = 2;
const GB = 1e9;
const OURS = "clipscribe";
/** Nothing of the whole file is compared then. */
const UNCHECKED = "without checksum";
/** As rclone's own advice for R2, and as ours. */
const RCLONE_ARGS = [
  "copyto",
  "--s3-chunk-size=16M",
  "--s3-upload-cutoff=16M",
  "--s3-upload-concurrency=4",
  "--no-check-dest",
];

interface Contestant {
  name: string;
  run(place: S3Place, round: number): Promise<Timed>;
}

const dir = mkdtempSync(join(tmpdir(), "clipscribe-bench-upload-"));
const file = join(dir, "video.mp4");
const startedMs = performance.now();
let child = "";
try {
  child = await bundleChild("upload-child.ts", dir);
  writeRandomFile(file, SIZE_BYTES);
  const contestants: Contestant[] = [
    { name: OURS, run: runOurs },
    ...findRclones().flatMap(({ name, program }): Contestant[] => [
      { name, run: async (place, at) => runRclone(program, [], place, at) },
      {
        name: `${name} ${UNCHECKED}`,
        run: async (place, at) => runRclone(program, ["--s3-disable-checksum"], place, at),
      },
    ]),
  ];
  const sink = await measurePlace(await startSink(), contestants, ROUNDS);
  const cloud = await startEmulator(join(dir, "cloud"));
  const emulated = await measurePlace(
    cloud,
    contestants.filter(({ name }) => !name.includes(UNCHECKED)),
    EMULATOR_ROUNDS,
  );
  const ratioTo = (wanted: (name: string) => boolean): number => {
    const theirs = sink.filter(({ name }) => name !== OURS && wanted(name));
    return (sink[0]?.mb_s ?? 0) / Math.max(...theirs.map(({ mb_s }) => mb_s));
  };
  const checked = ratioTo((name) => !name.includes(UNCHECKED));
  report({
    name: "bench-upload",
    // As the target is worded: beside `rclone copy`, Debian's and a current one.
    pass: checked >= TARGET && findRclones().length > 1,
    size_mb: SIZE_BYTES / 1024 / 1024,
    target_ratio: TARGET,
    ratio_to_best_rclone: round(checked),
    ratio_to_debians_rclone: round(ratioTo((name) => name === findRclones()[0]?.name)),
    ratio_to_best_rclone_without_checksum: round(ratioTo((name) => name.includes(UNCHECKED))),
    ratio_at_emulator: round((emulated[0]?.mb_s ?? 0) / (emulated[1]?.mb_s ?? Number.NaN)),
    sink,
    emulator: emulated,
  });
} finally {
  rmSync(dir, { recursive: true, force: true });
}

async function measurePlace(
  started: StartedPlace,
  contestants: readonly Contestant[],
  rounds: number,
): Promise<{ name: string; mb_s: number; cpu_s_per_gb: number; runs_ms: number[] }[]> {
  await using open = started;
  const runs = new Map<string, Timed[]>(contestants.map(({ name }) => [name, []]));
  for (let at = 0; at < rounds; at++) {
    for (const { name, run } of contestants) {
      if (performance.now() - startedMs > BUDGET_MS && (runs.get(name)?.length ?? 0) > 0) continue;
      const timed = await run(open.place, at);
      runs.get(name)?.push(timed);
      console.error(`${name}: ${Math.round(timed.ms)} ms, ${timed.cpuSeconds} s of CPU`);
      if (open.address === null) await fetch(`${open.place.endpoint}/_sink`, { method: "DELETE" });
    }
  }
  return [...runs].map(([name, timed]) => ({
    name,
    mb_s: round(SIZE_BYTES / 1e6 / (median(timed.map(({ ms }) => ms)) / 1000)),
    cpu_s_per_gb: round(median(timed.map(({ cpuSeconds }) => cpuSeconds)) / (SIZE_BYTES / GB)),
    runs_ms: timed.map(({ ms }) => Math.round(ms)),
  }));
}

async function runOurs(place: S3Place, at: number): Promise<Timed> {
  // Another home and, by its ending, another key: nothing is found there already.
  const home = join(dir, `home-${at}-${Math.random()}`);
  mkdirSync(home);
  const named = join(home, `video.v${at}`);
  symlinkSync(file, named);
  const plan = join(home, "plan.json");
  writeFileSync(plan, JSON.stringify({ ...place, files: [named], home, limit: null }));
  const timed = await runTimed([process.execPath, child, plan], { HOME: home });
  const end = JSON.parse(timed.stdout.trim()) as { sentBytes: number; sent: number };
  if (end.sent !== 1 || end.sentBytes !== SIZE_BYTES) throw new Error("it was not sent once");
  return timed;
}

async function runRclone(
  program: string,
  more: readonly string[],
  place: S3Place,
  at: number,
): Promise<Timed> {
  const to = `r2:${place.bucket}/rclone/${more.length}-${at}.mp4`;
  return runTimed([program, ...RCLONE_ARGS, ...more, file, to], rcloneEnv(place, dir));
}
