/** `clipscribe batch list`: the latest jobs, a line each. */
import { EXIT } from "../core/exit-codes.ts";
import { formatUsd } from "../core/money.ts";
import { countItems, readJob } from "../sync/job-report.ts";
import type { JobReport } from "../sync/job-report.ts";
import { listRecentJobs } from "../sync/recent-jobs.ts";
import { openBatchOffice } from "./batch-office.ts";
import type { Io } from "./io.ts";

export async function batchList(
  { recent, json }: { recent: number; json: boolean },
  io: Io,
): Promise<number> {
  await using office = await openBatchOffice(io, { json });
  const { store, settings } = office;
  const { user } = settings;
  const ids = await listRecentJobs(store, user, { count: recent, now: new Date() });
  const found = await Promise.all(ids.map((job) => readJob(store, user, job)));
  const jobs = found.filter((job) => job !== undefined);
  if (json) {
    const shown = jobs.map(({ items, ...job }) => ({ ...job, counts: countByStatus(items) }));
    io.stdout(`${JSON.stringify({ schema: 1, jobs: shown })}\n`);
    return EXIT.complete;
  }
  for (const job of jobs) {
    io.stdout(`${job.job_id}\n  ${describeJob(job)}\n`);
  }
  if (jobs.length === 0) {
    io.stdout("no jobs yet: `clipscribe batch submit FILE…` makes one\n");
  }
  return EXIT.complete;
}

/** `running: 9 complete, 2 queued, $1.23`. */
export function describeJob({ status, items, cost_usd: cost }: JobReport): string {
  const money = cost === 0 ? "" : `, ${formatUsd(cost)}`;
  return `${status}: ${countItems(items)}${money}`;
}

export function countByStatus(items: JobReport["items"]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { status } of items) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
}
