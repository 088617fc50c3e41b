/**
 * What R2 and Queues would bill: operations of each class per item with every file published, by
 * what they are for, and what an idle runner costs in a month. Counted by the emulator at the
 * requests themselves; prices and free tiers as Cloudflare publishes them.
 */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

import { loadPipeline } from "../bin/load-pipeline.ts";
import { openCloudWorld } from "../samples/cloud-world.ts";

/** USD a million: developers.cloudflare.com/r2/pricing, /queues/platform/pricing, 2026-11. */
const USD = { A: 4.5, B: 0.36, queue: 0.4 };
const FREE = { A: 1e6, B: 10e6, queueADay: 10_000 };
/** A message is written, read and deleted. */
const QUEUE_OPERATIONS = 3;
const ITEMS = 8;
const IDLE_S = 60;
const TARGET_USD = 0.4;
const MONTH_S = 30 * 24 * 3600;

const ROOT = join(import.meta.dirname, "..");
const pipeline = join(ROOT, "pipeline.yaml");
await using cloud = await openCloudWorld(pipeline);
// As a server has them by default.
const clocks = { CLIPSCRIBE_LEASE_MS: "", CLIPSCRIBE_SWEEP_MS: "", CLIPSCRIBE_POLL_MS: "" };
const free = { CLIPSCRIBE_QUEUE_OPERATIONS_PER_DAY: "10000" };
const { digest } = (await loadPipeline(pipeline, join(cloud.dir, "home"))).pipeline;
const { counts } = cloud.emulator;

const runner = cloud.startRunner("server", { env: { ...clocks, ...free } });
runner.stdout?.resume();
runner.stderr?.resume();
await delay(15_000);
const idleFrom = { ...counts };
await delay(IDLE_S * 1000);
const idle = since(idleFrom);

const files = Array.from({ length: ITEMS }, (_, index) => {
  const path = join(cloud.dir, `talk-${index}.mp4`);
  const sample = join(ROOT, "samples", "council-meeting.mp4");
  const named = ["-metadata", `comment=${index}`, "-map", "0", "-c", "copy"];
  execFileSync("ffmpeg", ["-v", "error", "-i", sample, ...named, path]);
  return path;
});
const workFrom = { ...counts };
const startedMs = Date.now();
const job = "20261124-2200-cost-7f3a";
await cloud.submit(job, "batch", digest, files);
for (;;) {
  const left: string[] = [];
  for await (const { key } of cloud.store.list("inbox/")) left.push(key);
  if (left.length === 0) break;
  if (Date.now() - startedMs > 300_000) throw new Error(`not done: ${left.join(", ")}`);
  await delay(2_000);
}
const seconds = (Date.now() - startedMs) / 1000;
const all = since(workFrom);
runner.kill("SIGTERM");

// What would have been spent in that time without any item, and this program's own looks.
const idleShare = seconds / IDLE_S;
const causes: Record<string, { A: number; B: number; queue: number }> = {};
for (const [kind, count] of Object.entries(all)) {
  if (kind.startsWith("s3:A:list:inbox")) continue;
  const [api, operationClass = "", , place = ""] = kind.split(":");
  const net = Math.max(0, count - (idle[kind] ?? 0) * idleShare);
  const cause = causeOf(api ?? "", place);
  causes[cause] ??= { A: 0, B: 0, queue: 0 };
  const entry = causes[cause];
  if (api === "event") entry.queue += (QUEUE_OPERATIONS * net) / ITEMS;
  else if (operationClass === "A") entry.A += net / ITEMS;
  else if (operationClass === "B") entry.B += net / ITEMS;
}
const usdOf = ({ A, B, queue }: { A: number; B: number; queue: number }): number =>
  (A * USD.A + B * USD.B + queue * USD.queue) / 1000;
const table = Object.entries(causes).map(([cause, each]) => ({
  cause,
  class_a: round(each.A),
  class_b: round(each.B),
  queue: round(each.queue),
  usd_per_1000: round(usdOf(each), 4),
}));
const perThousand = Object.values(causes).reduce((sum, each) => sum + usdOf(each), 0);
const month = (pattern: RegExp): number => Math.round((sum(idle, pattern) * MONTH_S) / IDLE_S);
const idleMonth = { class_a: month(/^s3:A/), class_b: month(/^s3:B/) };
const queueADay = Math.round((sum(idle, /^queues:pull/) * 24 * 3600) / IDLE_S);
const fitsFree =
  idleMonth.class_a <= FREE.A && idleMonth.class_b <= FREE.B && queueADay <= FREE.queueADay;
const pass = perThousand <= TARGET_USD && fitsFree;
console.log(
  JSON.stringify({
    name: "bench-cost",
    pass,
    target: { usd_per_1000_items: TARGET_USD, idle_fits_free: true },
    usd_per_1000_items: round(perThousand, 3),
    by_cause: table,
    idle_month: { ...idleMonth, queue_operations_a_day: queueADay, fits_free: fitsFree },
  }),
);
process.exitCode = pass ? 0 : 1;

function causeOf(api: string, place: string): string {
  if (api === "queues" || api === "event" || place === "inbox") return "queue and tickets";
  if (place === "jobs" || place === "budgets" || place === "dead") return "state";
  if (place === "blobs" || place === "cache") return "blobs and cache";
  if (place === "results") return "projection";
  if (place === "sources") return "source";
  return "liveness and sweep";
}

function since(before: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(
    Object.entries(counts).map(([kind, count]) => [kind, count - (before[kind] ?? 0)]),
  );
}

function sum(of: Readonly<Record<string, number>>, pattern: RegExp): number {
  return Object.entries(of)
    .filter(([kind]) => pattern.test(kind))
    .reduce((total, [, count]) => total + count, 0);
}

function round(value: number, digits = 1): number {
  return Number(value.toFixed(digits));
}
