/** From what a person typed to a job: its id, or an end of it that only one job has. */
import { closestWord } from "../core/did-you-mean.ts";
import { ClipscribeError } from "../core/errors.ts";
import { JobId } from "../core/ids.ts";
import type { UserId } from "../core/ids.ts";
import { keysOf } from "../core/keys.ts";
import type { ObjectStore } from "../ports/object-store.ts";
import { listRecentJobs } from "./recent-jobs.ts";

/** Among so many of the latest jobs an abbreviation is looked for. */
const MAX_LOOKED = 200;

/** @throws `missing` where no job, or more than one, is meant; `config` for what is no name at all. */
export async function findJob(store: ObjectStore, user: UserId, name: string): Promise<JobId> {
  const job = JobId.safeParse(name.trim().replace(/\/+$/, "")).data;
  if (job === undefined) {
    throw new ClipscribeError("config", `\`${name.slice(0, 100)}\` is no job's id`, {
      hint: "`clipscribe batch list` names the latest ones",
    });
  }
  if ((await store.head(keysOf(user).metadata(job))) !== undefined) return job;
  const recent = await listRecentJobs(store, user, { count: MAX_LOOKED, now: new Date() });
  const meant = recent.filter((each) => each.endsWith(`-${job}`) || each.startsWith(job));
  const [only] = meant;
  if (only !== undefined && meant.length === 1) return only;
  const close = closestWord(job, recent);
  const several = `several begin or end so: ${meant.slice(0, 3).join(", ")}`;
  const suggestion = close === undefined ? "" : `did you mean ${close}? `;
  throw new ClipscribeError("missing", "there is no such job", {
    details: { job },
    hint:
      meant.length > 1 ? several : `${suggestion}\`clipscribe batch list\` names the latest ones`,
  });
}
