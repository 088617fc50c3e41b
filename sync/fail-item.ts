/**
 * The end of an item that has nothing to work on: a dead link, a file that can't be read. Its state says
 * `failed` and why, and then it gets a ticket like any other. A ticket whose item has ended is an
 * unfinished tail, so whichever runner meets it makes the entry in dead/, sets the job's row, and
 * finishes the job if this was its last item: once, and across any crash.
 */
import { sha256Of } from "../core/digest.ts";
import type { ErrorRecord } from "../core/errors.ts";
import type { ItemId } from "../core/ids.ts";
import { failUnsent } from "../core/item-state.ts";
import { keysOf } from "../core/keys.ts";
import type { ObjectKey } from "../core/keys.ts";
import { Ticket } from "../core/records.ts";
import type { Source } from "../core/records.ts";
import type { Clock } from "../ports/clock.ts";
import type { ObjectStore } from "../ports/object-store.ts";
import { putRecordIfAbsent } from "./stored-records.ts";
import { announceJob } from "./submit-job.ts";
import type { JobSubmission } from "./submit-job.ts";

export interface UnsentItem {
  id: ItemId;
  kind: Source["kind"];
  url: string | null;
  filename: string;
  media_type: string;
  error: ErrorRecord;
}

/** Idempotent. Returns its ticket; null where the item has a state already, and so goes its own way. */
export async function failItem(
  store: ObjectStore,
  clock: Clock,
  submission: JobSubmission,
  { id, error, ...source }: UnsentItem,
): Promise<ObjectKey | null> {
  const { job, user, lane, pipeline } = submission;
  await announceJob(store, clock, submission);
  const keys = keysOf(user);
  const now = clock.now();
  // Nobody reads the bytes that it names: there are none.
  const ticket = Ticket.parse({
    schema: 1,
    job_id: job,
    item_id: id,
    run: 1,
    user,
    lane,
    pipeline_digest: pipeline.digest,
    source: { ...source, sha256: sha256Of(source.url ?? source.filename), size: 0 },
    artifacts: [],
    info: { file_name: source.filename, url: source.url },
    created_at: now.toISOString(),
  });
  const failed = failUnsent(ticket, error, now);
  const isFirst = await putRecordIfAbsent(store, keys.item(job, id), failed);
  if (!isFirst && (await isElse(store, keys.item(job, id)))) return null;
  const key = keys.ticket(lane, job, id, 1);
  await putRecordIfAbsent(store, key, ticket);
  return key;
}

/** True for a state that somebody works, or has worked, on: not one of before a crash. */
async function isElse(store: ObjectStore, key: ObjectKey): Promise<boolean> {
  const { body } = await store.get(key);
  const { input, epoch, status } = JSON.parse(Buffer.from(body).toString("utf8")) as {
    input: unknown;
    epoch: number;
    status: string;
  };
  return input !== null || epoch > 0 || status !== "failed";
}
