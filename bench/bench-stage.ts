/**
 * make bench-stage: overhead a stage. 1,000 items × 5 trivial stages, several items at once, through
 * the runner, the disk store (states, tickets, publishes and blobs flushed; cache entries that cost
 * nothing not) and the SQLite queue (flushed). Beside ninja (an edge: one `true`) and snakemake (a
 * job, on a few). Targets: better than ninja's edge, then ten times better than snakemake's job.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { makeHome } from "./campaign-world.ts";
import type { CampaignHome, HomeOptions } from "./campaign-world.ts";
import { median, report, round } from "./measure.ts";

const ITEMS = 1_000;
const STAGES = 5;
const SNAKE_JOBS = 30;
const ROUNDS = 3;

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

interface Ours {
  ms: number;
  peak_mb: number;
  meter: Record<"reads" | "writes" | "lists" | "deletes", number>;
}

function runOurs(): Ours {
  const home = openHome({ stages: STAGES, items: ITEMS });
  const plan = JSON.stringify({ inbox: home.inbox, pipeline: home.pipeline });
  // The flag is the launcher's.
  const args = ["--max-semi-space-size=8", join(import.meta.dirname, "bench-stage-child.ts")];
  const end = spawnSync(process.execPath, args, {
    cwd: home.dir,
    env: {
      PATH: process.env["PATH"],
      HOME: home.dir,
      CLIPSCRIBE_HOME: home.home,
      CAMPAIGN_PLAN: plan,
    },
    maxBuffer: 64 * 1024 * 1024,
  });
  const line = end.stdout.toString().trim().split("\n").at(-1) ?? "";
  if (end.status !== 0) throw new Error(end.stderr.toString().slice(-500) + line.slice(-300));
  return JSON.parse(line) as Ours;
}

function runNinja(): number {
  const home = openHome({ stages: 1, items: 1 });
  const edges = Array.from({ length: ITEMS }, (_, item) =>
    Array.from(
      { length: STAGES },
      (_each, stage) =>
        `build o/${item}.${stage}: touch ${stage === 0 ? "" : `o/${item}.${stage - 1}`}\n`,
    ).join(""),
  );
  mkdirSync(join(home.dir, "o"));
  writeFileSync(
    join(home.dir, "build.ninja"),
    `rule touch\n  command = touch $out\n${edges.join("")}`,
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

const ours: Ours[] = [];
const ninja: number[] = [];
const snake: number[] = [];
for (let round_ = 0; round_ < ROUNDS; round_++) {
  ours.push(runOurs());
  ninja.push(runNinja());
  snake.push(runSnakemake());
}
for (const home of homes) home.remove();
const perStage = median(ours.map(({ ms }) => ms)) / (ITEMS * STAGES);
const { meter } = ours[0] ?? { meter: { reads: 0, writes: 0, lists: 0, deletes: 0 } };
const perItem = Object.fromEntries(
  Object.entries(meter).map(([kind, count]) => [kind, round(count / ITEMS)]),
);
const vsNinja = perStage / median(ninja);
const vsSnake = median(snake) / perStage;
report({
  name: "bench-stage",
  pass: vsNinja < 1 && vsSnake >= 10,
  target: "below ninja's edge, at least 10 x below snakemake's job",
  ms_a_stage: round(perStage),
  ninja_ms_an_edge: round(median(ninja)),
  snakemake_ms_a_job: round(median(snake)),
  x_ninja: round(vsNinja),
  faster_than_snakemake: round(vsSnake),
  peak_mb: Math.max(...ours.map(({ peak_mb }) => peak_mb)),
  store_calls_an_item: perItem,
  cpu: readFileSync("/proc/cpuinfo", "utf8").match(/model name\s*: (.*)/)?.[1] ?? "unknown",
});
