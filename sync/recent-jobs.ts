/**
 * The latest jobs, newest first, by listings alone. A bucket lists forward only and a job has many
 * keys, so one listing jumps from job to job, and begins some days back: farther where that is not
 * enough. Ids begin with their time (DESIGN: keys); one-offs (`run-…`) don't, and are left out.
 */
import { JobId } from "../core/ids.ts";
import type { UserId } from "../core/ids.ts";
import { keysOf } from "../core/keys.ts";
import type { ObjectStore } from "../ports/object-store.ts";

const DAY_MS = 86_400_000;
/** How far back it begins, in days; the last one is everything. */
const WINDOWS_DAYS = [2, 14, 90, 36_500];

export async function listRecentJobs(
  store: ObjectStore,
  user: UserId,
  { count, now }: { count: number; now: Date },
): Promise<JobId[]> {
  let jobs: JobId[] = [];
  for (const days of WINDOWS_DAYS) {
    jobs = await listSince(store, user, new Date(now.getTime() - days * DAY_MS));
    if (jobs.length >= count) break;
  }
  return jobs.slice(-count).toReversed();
}

async function listSince(store: ObjectStore, user: UserId, since: Date): Promise<JobId[]> {
  const prefix = keysOf(user).jobs();
  const day = since.toISOString().slice(0, 10).replaceAll("-", "");
  const jobs: JobId[] = [];
  let startAfter = `${prefix}${day}`;
  for (;;) {
    const job = await nextJob(store, prefix, startAfter);
    if (job === undefined) return jobs;
    if (/^\d{8}-/.test(job)) jobs.push(job);
    // `0` follows `/`: past all keys of this job.
    startAfter = `${prefix}${job}0`;
    // What sorts after every date is no dated job.
    if (!/^\d/.test(job)) return jobs;
  }
}

async function nextJob(
  store: ObjectStore,
  prefix: string,
  startAfter: string,
): Promise<JobId | undefined> {
  for await (const { key } of store.list(prefix, { startAfter })) {
    return JobId.safeParse(key.slice(prefix.length).split("/")[0]).data;
  }
  return undefined;
}
