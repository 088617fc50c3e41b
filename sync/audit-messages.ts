/** What an audit says of the ends of jobs: their digests, and the messages about them. Reads only. */
import type { JobId, UserId } from "../core/ids.ts";
import { digestOfRows } from "../core/job-digest.ts";
import { JOB_ITEM, keysOf } from "../core/keys.ts";
import { JobPart } from "../core/message-records.ts";
import type { JobStatus, Metadata } from "../core/records.ts";
import type { ObjectStore } from "../ports/object-store.ts";
import { listMessages } from "./list-messages.ts";
import { readRecord } from "./stored-records.ts";

/** Returns what does not add up at the end of a job of several items that nothing waits for. */
export async function problemOfEnd(
  store: ObjectStore,
  user: UserId,
  { job_id: job, items }: Metadata,
  status: JobStatus | undefined,
): Promise<string | undefined> {
  if (status?.status !== "finished" || items.length < 2) return undefined;
  const keys = keysOf(user);
  const part = (await readRecord(store, keys.item(job, JOB_ITEM), JobPart))?.value;
  if (part === undefined) return `${job}: is finished, and has no digest`;
  if (part.status === "processing" || part.rows_sha256 !== digestOfRows(status.rows)) {
    return `${job}: is finished, but its digest is of before`;
  }
  return undefined;
}

/** Messages that a person has to know of, a line each. */
export async function describeMessages(
  store: ObjectStore,
  user: UserId,
  wanted: readonly JobId[] | null,
): Promise<string[]> {
  const { waiting, undeliverable } = await listMessages(store, user);
  const isWanted = ({ job_id: job }: { job_id: JobId }): boolean =>
    wanted === null || wanted.includes(job);
  const lines: string[] = [];
  for (const { job_id: job, attempts, deliveries } of waiting.filter(isWanted)) {
    const error = deliveries.find(({ state }) => state === "waiting")?.error;
    // One that has just been put is on its way.
    if (error == null) continue;
    lines.push(`${job}: a message waits after ${attempts} tries: ${error.message}`);
  }
  for (const { job_id: job, deliveries } of undeliverable.filter(isWanted)) {
    const refused = deliveries.find(({ state }) => state === "refused");
    const to = refused?.to ?? refused?.channel ?? "nobody";
    const why = refused?.error?.message ?? "unknown";
    lines.push(
      `${job}: a message to ${to} can't be delivered: ${why}; \`clipscribe notify send ${job}\` tries again`,
    );
  }
  return lines;
}
