/** At the start of the agent: aborts uploads of this machine that nobody will go on with. */
import { systemClock } from "../adapters/system/system-clock.ts";
import { asClipscribeError } from "../core/errors.ts";
import type { DropLedger } from "../ports/drop-ledger.ts";
import type { Log } from "../ports/log.ts";
import { abandonUploads } from "../sync/abandon-uploads.ts";
import type { Machine } from "./compose.ts";

/** A `run` that was interrupted may be run again; after a day it is not waited for. */
const KEEP_MS = 24 * 60 * 60 * 1000;

export async function dropLeftoverUploads(
  machine: Pick<Machine, "store" | "uploads">,
  ledger: Pick<DropLedger, "listOpen">,
  log: Log,
  signal: AbortSignal,
): Promise<void> {
  const wanted = new Set(
    ledger.listOpen().flatMap(({ items }) => items.map(({ source }) => source?.sha256)),
  );
  try {
    const count = await abandonUploads(machine.store, machine.uploads.book, {
      clock: systemClock,
      isWanted: ({ sha256, startedAt }) =>
        wanted.has(sha256) || Date.now() - startedAt.getTime() < KEEP_MS,
      signal,
    });
    if (count > 0) log.info("unfinished uploads that nobody waits for were aborted", { count });
  } catch (error) {
    // The bucket forgets them by itself, after a week.
    log.warn("unfinished uploads could not be aborted", { error: asClipscribeError(error) });
  }
}
