/**
 * make bench-small: 2,000 files of 4 KiB, as processes from start to end, beside rclone's best batch:
 * one `rclone copy` with many transfers that asks nothing and looks at nothing afterwards. Ours hashes
 * each file twice, puts it if absent and compares its ETag. At a sink that keeps nothing, in turns, in
 * another order each round.
 *
 * rclone tells the kernel to forget what it has read (POSIX_FADV_DONTNEED), so whoever comes after it
 * reads from the disk: before each run the files are brought into memory, where those lie that were just
 * dropped and hashed, or, in the rounds of `cold`, taken out of it.
 * Target: at least as many files a second; then four times as many. FILES, ROUNDS, COLD_ROUNDS.
 */
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { median, report, round } from "./measure.ts";
import { bundleChild } from "./peers/bundle-child.ts";
import { findRclones, rcloneEnv } from "./peers/rclone.ts";
import { startSink } from "./peers/start-sink.ts";
import { runTimed } from "./peers/timed-child.ts";
import type { Timed } from "./peers/timed-child.ts";

const FILES = Number(process.env["FILES"] ?? 2_000);
const FILE_BYTES = 4096;
const ROUNDS = Number(process.env["ROUNDS"] ?? 12);
const COLD_ROUNDS = Number(process.env["COLD_ROUNDS"] ?? 5);
const TARGET = 1;
const MOONSHOT = 4;
const BATCH = ["--s3-no-head", "--no-check-dest", "--s3-disable-checksum", "--no-traverse"];

interface Run extends Timed {
  /** Without the start of the process, where it is known. */
  workMs: number;
}

const dir = mkdtempSync(join(tmpdir(), "clipscribe-bench-small-"));
try {
  const child = await bundleChild("upload-child.ts", dir);
  const from = join(dir, "files");
  mkdirSync(from);
  const files = Array.from({ length: FILES }, (_, at) => join(from, `clip-${at}.m4a`));
  for (const file of files) writeFileSync(file, randomBytes(FILE_BYTES));
  await using sink = await startSink();
  const { place } = sink;

  // One home for all rounds: a laptop makes its ledger once in its life. The files are sent each
  // time, since the sink has forgotten them.
  const home = join(dir, "home");
  mkdirSync(home);
  const plan = join(home, "plan.json");
  writeFileSync(plan, JSON.stringify({ ...place, files, home, limit: null }));
  const runOurs = async (): Promise<Run> => {
    const timed = await runTimed([process.execPath, child, plan], { HOME: home });
    const end = JSON.parse(timed.stdout.trim()) as { ms: number; sent: number };
    if (end.sent !== FILES) throw new Error(`${end.sent} of ${FILES} files were sent`);
    return { ...timed, workMs: end.ms };
  };
  const contestants = [
    { name: "clipscribe", run: runOurs },
    ...findRclones().flatMap(({ name, program }) =>
      [16, 32].map((transfers) => ({
        name: `${name} --transfers ${transfers}`,
        run: async (at: number): Promise<Run> => {
          const to = `r2:${place.bucket}/rclone-${transfers}-${at}`;
          const command = [program, "copy", ...BATCH, `--transfers=${transfers}`, from, to];
          const timed = await runTimed(command, rcloneEnv(place, dir));
          return { ...timed, workMs: timed.ms };
        },
      })),
    ),
  ];
  const measure = async (rounds: number, prepare: () => void): Promise<Measured> => {
    const runs = new Map<string, Run[]>(contestants.map(({ name }) => [name, []]));
    // The first round warms what all of them read, and does not count. Each comes after each.
    for (let at = 0; at <= rounds; at++) {
      const turned = contestants.map((_, index) => contestants[(index + at) % contestants.length]);
      const order = at % 2 === 0 ? turned : turned.toReversed();
      for (const { name, run } of order.flatMap((each) => each ?? [])) {
        prepare();
        const each = await run(at);
        const seen = await fetch(`${place.endpoint}/_sink`);
        const { objects } = (await seen.json()) as { objects: number };
        if (objects !== FILES) throw new Error(`${name}: ${objects} of ${FILES} files came`);
        await fetch(`${place.endpoint}/_sink`, { method: "DELETE" });
        if (at > 0) runs.get(name)?.push(each);
      }
    }
    return compare(runs);
  };
  const warm = await measure(ROUNDS, () => files.forEach((file) => readFileSync(file)));
  const cold = await measure(COLD_ROUNDS, () => forget(from));
  report({
    name: "bench-small",
    pass: warm.ratio >= TARGET,
    ratio_to_best_rclone: round(warm.ratio),
    target_ratio: TARGET,
    reaches_moonshot: warm.ratio >= MOONSHOT,
    ratio_once_started: round(warm.ratioOnceStarted),
    ratio_from_cold_disk: round(cold.ratio),
    files: FILES,
    contestants: warm.figures,
    cold: cold.figures,
  });
} finally {
  rmSync(dir, { recursive: true, force: true });
}

interface Measured {
  /** Our files a second by those of the best rclone. */
  ratio: number;
  ratioOnceStarted: number;
  figures: unknown[];
}

function compare(runs: ReadonlyMap<string, readonly Run[]>): Measured {
  const figures = [...runs].map(([name, each]) => ({
    name,
    files_s: round(FILES / (median(each.map(({ ms }) => ms)) / 1000)),
    files_s_once_started: round(FILES / (median(each.map(({ workMs }) => workMs)) / 1000)),
    cpu_ms_per_file: round((median(each.map(({ cpuSeconds }) => cpuSeconds)) * 1000) / FILES),
    runs_ms: each.map(({ ms }) => Math.round(ms)),
  }));
  const [ours, ...theirs] = figures;
  const best = Math.max(...theirs.map(({ files_s }) => files_s));
  return {
    ratio: (ours?.files_s ?? 0) / best,
    ratioOnceStarted: (ours?.files_s_once_started ?? 0) / best,
    figures,
  };
}

/** Takes the files of a folder out of the page cache: GNU dd, since Node has no posix_fadvise. */
function forget(folder: string): void {
  const script = 'for file in "$1"/*; do dd if="$file" iflag=nocache count=0 status=none; done';
  execFileSync("bash", ["-c", script, "forget", folder]);
}
