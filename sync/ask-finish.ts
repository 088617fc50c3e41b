/**
 * Asks the runners to see whether a job is finished: for an agent whose own write of `status.json`
 * found it so, since only a runner makes what a job yields as a whole.
 */
import type { JobId, UserId } from "../core/ids.ts";
import { keysOf } from "../core/keys.ts";
import { FinishRequest } from "../core/message-records.ts";
import type { Clock } from "../ports/clock.ts";
import type { ObjectStore } from "../ports/object-store.ts";

/**
 * The sweep of any runner answers it, and takes it away unless it was asked again meanwhile: so each
 * request is written anew, not put if absent.
 */
export async function askFinish(
  store: ObjectStore,
  clock: Clock,
  { user, job }: { user: UserId; job: JobId },
): Promise<void> {
  const request = { schema: 1, job_id: job, at: clock.now().toISOString() };
  const body = Buffer.from(`${JSON.stringify(FinishRequest.parse(request))}\n`);
  await store.put(keysOf(user).finishRequest(job), body);
}
