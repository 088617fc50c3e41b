/**
 * make bench-stage: overhead a stage. 1,000 items × 5 trivial stages, several items at once, through
 * the runner, the disk store (states, tickets, publishes and blobs flushed; cache entries that cost
 * nothing not) and the SQLite queue (flushed). A stage reads a small JSON value and makes another; what the
 * last one makes is published and brought to the person's folder with its manifest. Beside ninja, which
 * flushes nothing, and snakemake (a job, on a few). Targets: better than ninja's edge, then ten times better
 * than snakemake's job. The edge that counts copies its input, since it then reads a file and makes another,
 * too. Reported beside it: an edge that makes an empty file, and ours where all five values are published,
 * each as a blob, a name under results/ and a file of the person's.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { ROOT, makeHome } from "./campaign-world.ts";
import type { CampaignHome, HomeOptions } from "./campaign-world.ts";
import { median, report, round } from "./measure.ts";

const ITEMS = 1_000;
const STAGES = 5;
const SNAKE_JOBS = 30;
const ROUNDS = 5;

/**
 * Homes go when all is measured: a file system looks around the inodes that were freed a moment ago, so
 * whoever ran after a removal would pay for it.
 */
const homes: CampaignHome[] = [];

function openHome(options: HomeOptions): CampaignHome {
  const home = makeHome(options);
  homes.push(home);
  return home;
}

interface Metered {
  peak_mb: number;
  meter: Record<"reads" | "writes" | "lists" | "deletes", number>;
}

/** The command as a person gives it; its start, bundling, hashing and submitting are timed with it. */
function timeOurs(publishes: "all" | "last"): number {
  const home = openHome({ stages: STAGES, items: ITEMS, withFile: false, publishes });
  const command = ["run", home.inbox, "--pipeline", home.pipeline, "--quiet"];
  const before = performance.now();
  const end = spawnSync(join(ROOT, "bin", "clipscribe"), command, inHome(home));
  const took = performance.now() - before;
  if (end.status !== 0) throw new Error(end.stderr.toString().slice(-500));
  return took / (ITEMS * STAGES);
}

/** The same through a store that counts; not timed. */
function meterOurs(): Metered {
  const home = openHome({ stages: STAGES, items: ITEMS, withFile: false, publishes: "last" });
  const plan = JSON.stringify({ inbox: home.inbox, pipeline: home.pipeline });
  // The flag is the launcher's.
  const args = ["--max-semi-space-size=8", join(import.meta.dirname, "bench-stage-child.ts")];
  const end = spawnSync(process.execPath, args, inHome(home, { CAMPAIGN_PLAN: plan }));
  const line = end.stdout.toString().trim().split("\n").at(-1) ?? "";
  if (end.status !== 0) throw new Error(end.stderr.toString().slice(-500) + line.slice(-300));
  return JSON.parse(line) as Metered;
}

function inHome(home: CampaignHome, more: Record<string, string> = {}) {
  const env = { PATH: process.env["PATH"], HOME: home.dir, CLIPSCRIBE_HOME: home.home, ...more };
  return { cwd: home.dir, env, maxBuffer: 64 * 1024 * 1024 };
}

function runNinja(command: "touch $out" | "cp $in $out"): number {
  const home = openHome({ stages: 1, items: 1 });
  const edges = Array.from({ length: ITEMS }, (_, item) =>
    Array.from(
      { length: STAGES },
      (_each, stage) =>
        `build o/${item}.${stage}: make ${stage === 0 ? `i/${item}` : `o/${item}.${stage - 1}`}\n`,
    ).join(""),
  );
  for (const folder of ["i", "o"]) mkdirSync(join(home.dir, folder));
  for (let item = 0; item < ITEMS; item++) {
    writeFileSync(join(home.dir, "i", String(item)), `content ${item}`);
  }
  writeFileSync(
    join(home.dir, "build.ninja"),
    `rule make\n  command = ${command}\n${edges.join("")}`,
  );
  const before = performance.now();
  spawnSync("ninja", [], { cwd: home.dir, stdio: "ignore" });
  const took = performance.now() - before;
  return took / (ITEMS * STAGES);
}

function runSnakemake(): number {
  const home = openHome({ stages: 1, items: 1 });
  writeFileSync(
    join(home.dir, "Snakefile"),
    `rule all:\n    input: expand("o/{n}", n=range(${SNAKE_JOBS}))\nrule one:\n    output: "o/{n}"\n    shell: "touch {output}"\n`,
  );
  const time = (target: string): number => {
    const before = performance.now();
    spawnSync("snakemake", ["--cores", "2", "--quiet", "all", target], {
      cwd: home.dir,
      stdio: "ignore",
      env: { ...process.env, HOME: home.dir },
    });
    return performance.now() - before;
  };
  const all = time("all");
  const again = time("all");
  return (all - again) / SNAKE_JOBS;
}

// Where a source is newer than the bundle, this makes it anew.
spawnSync(join(ROOT, "bin", "clipscribe"), ["--version"]);
const metered = meterOurs();
const ours: number[] = [];
const publishingAll: number[] = [];
const ninja: number[] = [];
const touching: number[] = [];
const snake: number[] = [];
for (let round_ = 0; round_ < ROUNDS; round_++) {
  ours.push(timeOurs("last"));
  ninja.push(runNinja("cp $in $out"));
  publishingAll.push(timeOurs("all"));
  touching.push(runNinja("touch $out"));
  snake.push(runSnakemake());
}
for (const home of homes) home.remove();
const perStage = median(ours);
const perItem = Object.fromEntries(
  Object.entries(metered.meter).map(([kind, count]) => [kind, round(count / ITEMS)]),
);
const vsNinja = perStage / median(ninja);
const vsSnake = median(snake) / perStage;
report({
  name: "bench-stage",
  pass: vsNinja < 1 && vsSnake >= 10,
  target: "below ninja's edge, at least 10 x below snakemake's job",
  ms_a_stage: round(perStage),
  ms_a_stage_all_published: round(median(publishingAll)),
  ninja_ms_an_edge: round(median(ninja)),
  snakemake_ms_a_job: round(median(snake)),
  ninja_ms_an_empty_edge: round(median(touching)),
  x_ninja: round(vsNinja),
  x_ninja_empty: round(perStage / median(touching)),
  x_ninja_all_published: round(median(publishingAll) / median(ninja)),
  faster_than_snakemake: round(vsSnake),
  peak_mb: metered.peak_mb,
  store_calls_an_item: perItem,
  cpu: readFileSync("/proc/cpuinfo", "utf8").match(/model name\s*: (.*)/)?.[1] ?? "unknown",
});
