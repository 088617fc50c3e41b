/** Jobs and items as people name them: `JOB`, `JOB/ITEM`. */
import { ClipscribeError } from "../core/errors.ts";
import { ItemId, JobId } from "../core/ids.ts";

/** @throws `config` */
export function readJobId(name: string): JobId {
  const job = JobId.safeParse(name).data;
  if (job !== undefined) return job;
  throw new ClipscribeError("config", `\`${name.slice(0, 100)}\` is no job's id`, {
    hint: "copy it from a message or from the results folder, as run-talk-1a2b3c4d",
  });
}

/** @throws `config` */
export function readTarget(target: string): { job: JobId; item: ItemId | null } {
  const [jobName = "", name] = target.split("/");
  const job = readJobId(jobName);
  if (name === undefined) return { job, item: null };
  const item = ItemId.safeParse(name).data;
  if (item !== undefined) return { job, item };
  throw new ClipscribeError("config", `\`${name.slice(0, 100)}\` is no item's id`, {
    hint: "name JOB/ITEM as `clipscribe dead list` does",
  });
}
