/** What a run prints at its end: for a person, or as the last JSON line. */
import { join } from "node:path";

import { EXIT, exitCodeOfStatuses } from "../core/exit-codes.ts";
import { formatUsd } from "../core/money.ts";
import type { ItemStatus } from "../core/records.ts";
import { safeLine } from "../core/safe-text.ts";
import type { Collected } from "./collect-drops.ts";
import type { Io } from "./io.ts";
import type { ItemResult } from "./item-results.ts";
import { reportOf } from "./nothing-to-do.ts";

export interface ReportOptions {
  json: boolean;
  quiet: boolean;
}

export function reportEnd(
  options: ReportOptions,
  io: Io,
  { job, resultsDir }: { job: string; resultsDir: string },
  refusedDrops: Collected["refused"],
  results: ReadonlyMap<string, ItemResult>,
): number {
  const refused = refusedDrops.map(({ name, error }): ItemResult => ({
    item_id: name,
    status: "failed",
    path: null,
    cost_usd: 0,
    estimate_usd: null,
    stages: [],
    error,
  }));
  const items = [...results.values(), ...refused];
  const cost = items.reduce((sum, { cost_usd }) => sum + cost_usd, 0);
  const statuses = items.map(({ status }) => status);
  const isAllRefused = results.size === 0 && refused.length > 0;
  const code = isAllRefused ? EXIT.refused : exitCodeOfStatuses(statuses);
  if (options.json) {
    const status = worstStatus(statuses);
    io.stdout(`${JSON.stringify({ schema: 1, job_id: job, status, cost_usd: cost, items })}\n`);
    return code;
  }
  const troubled = items.filter(({ error, status }) => error !== null || status === "partial");
  for (const { item_id, status, error } of troubled) {
    io.stdout(
      `${safeLine(item_id, 120)}: ${status}${error === null ? "" : ` — ${safeLine(error.message, 500)}`}\n`,
    );
    if (error?.hint != null) io.stdout(`  ${safeLine(error.hint, 500)}\n`);
  }
  if (!options.quiet) io.stdout(`${countStatuses(statuses)}, ${formatUsd(cost)}\n`);
  const folders = [...results.values()].flatMap(({ path }) => path ?? []);
  if (folders.length > 0) io.stdout(`${reportPath(join(resultsDir, job), folders)}\n`);
  return code;
}

export function reportInterrupted(
  options: ReportOptions,
  io: Io,
  job: string | null,
  results: Iterable<unknown>,
): number {
  if (options.json) {
    const items = results instanceof Map ? [...(results as Map<string, ItemResult>).values()] : [];
    io.stdout(
      `${JSON.stringify({ schema: 1, job_id: job, status: "cancelled", cost_usd: 0, items })}\n`,
    );
  } else {
    io.stdout("stopped; run the same command again and it goes on from here\n");
  }
  return EXIT.interrupted;
}

/** The report of a single item, the folder of several. */
function reportPath(jobDir: string, folders: readonly string[]): string {
  const [only] = folders;
  if (only === undefined || folders.length > 1) return jobDir;
  return reportOf(only);
}

function worstStatus(statuses: readonly ItemStatus[]): ItemStatus {
  const order: readonly ItemStatus[] = ["cancelled", "failed", "held", "partial", "complete"];
  return order.find((status) => statuses.includes(status)) ?? "failed";
}

function countStatuses(statuses: readonly ItemStatus[]): string {
  const counts = new Map<string, number>();
  for (const status of statuses) counts.set(status, (counts.get(status) ?? 0) + 1);
  return [...counts].map(([status, count]) => `${count} ${status}`).join(", ");
}
