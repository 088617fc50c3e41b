/** Reads with each beat what people want of the jobs under way. */
import type { ActiveItems } from "./handle-ticket.ts";
import { CancelledByPerson } from "./interruptions.ts";
import type { JobMetadata } from "./job-metadata.ts";
import type { RunnerWorld } from "./world.ts";

/** As often as the heartbeat is written. */
const BEATS_A_LEASE = 3;

/** Resolves once it is told to stop. */
export async function watchControl(
  { clock, clocks }: RunnerWorld,
  jobs: JobMetadata,
  active: ActiveItems,
  stopping: AbortSignal,
): Promise<void> {
  while (!stopping.aborted) {
    await clock.sleep(clocks.leaseMs / BEATS_A_LEASE, stopping).catch(() => undefined);
    if (stopping.aborted) return;
    for (const { address, control } of active.values()) {
      const metadata = await jobs.read(address.job).catch(() => undefined);
      if (metadata?.control.state === "paused") control.paused = true;
      if (metadata?.control.state === "cancelled") control.abort.abort(new CancelledByPerson());
    }
  }
}
