/**
 * Which jobs are worth looking at: a cheap question a job, asked often after something happened and
 * seldom when nothing does. `status.json` is read under a condition, so an answer is small; what it
 * costs in a night is in docs/operations.md.
 *
 * The rows of a job change after the states of its items, so who is told of a change finds it.
 */
import { isKind } from "../core/errors.ts";
import type { JobId, UserId } from "../core/ids.ts";
import { keysOf } from "../core/keys.ts";
import type { ObjectKey } from "../core/keys.ts";
import type { Clock } from "../ports/clock.ts";
import type { Etag, ObjectStore } from "../ports/object-store.ts";

/** A job is asked about after a share of the time since it last changed, within these bounds. */
const SHARE = 1 / 8;
const MAX_WAIT_MS = 5 * 60_000;
/** Looked at once more, whatever its rows say: what was brought may have been lost. */
const RELOOK_MS = 60 * 60_000;
const AT_ONCE = 8;

interface Watched {
  etag: Etag | undefined;
  changedMs: number;
  lookedMs: number;
  /** When it was last said to be worth a look. */
  toldMs: number;
}

export interface ResultsWatch {
  /**
   * Asks about those jobs whose time has come. Returns the ones to look at: new here, changed, or
   * not looked at for an hour. A job that is not named any more is forgotten.
   *
   * @throws `transient`, `denied` where the store can't be asked; the same jobs are due then.
   */
  findChanged(jobs: ReadonlySet<JobId>, signal: AbortSignal): Promise<Set<JobId>>;
  /** Something went wrong with it: it is worth another look the next time. */
  forget(job: JobId): void;
  /** Milliseconds until the next one is due; null where none is watched. */
  dueMs(): number | null;
}

export interface ResultsWatchOptions {
  store: ObjectStore;
  user: UserId;
  clock: Clock;
  /** Shortest time between two questions about a job. */
  minWaitMs: number;
}

export function createResultsWatch(options: ResultsWatchOptions): ResultsWatch {
  const { store, user, clock, minWaitMs } = options;
  const keys = keysOf(user);
  const watched = new Map<JobId, Watched>();

  const waitMs = ({ changedMs, lookedMs }: Watched): number =>
    Math.min(MAX_WAIT_MS, Math.max(minWaitMs, (lookedMs - changedMs) * SHARE));

  async function isChanged(job: JobId, signal: AbortSignal): Promise<boolean> {
    const nowMs = clock.monotonicMs();
    const known = watched.get(job);
    const etag = await readEtag(store, keys.status(job), known?.etag, signal);
    const isNew = known === undefined || etag !== known.etag;
    const isTold = isNew || nowMs - known.toldMs >= RELOOK_MS;
    watched.set(job, {
      etag,
      changedMs: isNew ? nowMs : known.changedMs,
      lookedMs: nowMs,
      toldMs: isTold ? nowMs : known.toldMs,
    });
    return isTold;
  }

  return {
    async findChanged(jobs, signal) {
      for (const job of watched.keys()) if (!jobs.has(job)) watched.delete(job);
      const nowMs = clock.monotonicMs();
      const due = [...jobs].filter((job) => {
        const known = watched.get(job);
        return known === undefined || nowMs - known.lookedMs >= waitMs(known);
      });
      const changed = new Set<JobId>();
      const queue = due.values();
      const worker = async (): Promise<void> => {
        for (const job of queue) if (await isChanged(job, signal)) changed.add(job);
      };
      const ends = await Promise.allSettled(Array.from({ length: AT_ONCE }, worker));
      for (const end of ends) {
        if (end.status === "fulfilled") continue;
        // They have not been looked at, so they are new the next time.
        for (const job of changed) watched.delete(job);
        throw end.reason;
      }
      return changed;
    },
    forget: (job) => void watched.delete(job),
    dueMs() {
      const nowMs = clock.monotonicMs();
      const waits = [...watched.values()].map((each) => each.lookedMs + waitMs(each) - nowMs);
      return waits.length === 0 ? null : Math.max(0, Math.min(...waits));
    },
  };
}

/** Undefined while the job has no rows. */
async function readEtag(
  store: ObjectStore,
  key: ObjectKey,
  known: Etag | undefined,
  signal: AbortSignal,
): Promise<Etag | undefined> {
  try {
    const found = await store.get(key, { ifNoneMatch: known, signal });
    return found === undefined ? known : found.etag;
  } catch (error) {
    if (isKind(error, "missing")) return undefined;
    throw error;
  }
}
