/**
 * A person may resume a job in the moment in which a runner holds an item for the pause. Each side
 * writes first and reads then: the person `control`, then the states; the runner the state, then
 * `control`. So at least one sees the other, and both would write the same ticket.
 */
import { isKind } from "../core/errors.ts";
import type { UserKeys } from "../core/keys.ts";
import type { ItemState, Ticket } from "../core/records.ts";
import type { Clock } from "../ports/clock.ts";
import type { ObjectStore } from "../ports/object-store.ts";
import type { JobMetadata } from "./job-metadata.ts";

/** `state`: as it was written, held or cancelled by a person's word. */
export async function goOnIfResumed(
  {
    store,
    keys,
    jobs,
    clock,
  }: { store: ObjectStore; keys: UserKeys; jobs: JobMetadata; clock: Clock },
  { job_id: job, item_id: item, input, run }: ItemState,
): Promise<void> {
  const { control } = await jobs.read(job);
  if (control.state !== "run" || input === null) return;
  const next: Ticket = { ...input, run: run + 1, created_at: clock.now().toISOString() };
  const body = Buffer.from(`${JSON.stringify(next, null, 1)}\n`);
  try {
    await store.put(keys.ticket(input.lane, job, item, next.run), body, { ifMatch: null });
  } catch (error) {
    if (!isKind(error, "conflict")) throw error;
  }
}
