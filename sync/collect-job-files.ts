/**
 * Brings what a job yields as a whole, which comes a moment after its last item. Which jobs are waited
 * for is kept in the ledger, so a restart goes on; one that has nothing of the kind is let go.
 */
import { isKind } from "../core/errors.ts";
import { JobId } from "../core/ids.ts";
import type { UserId } from "../core/ids.ts";
import type { Clock } from "../ports/clock.ts";
import type { DropLedger } from "../ports/drop-ledger.ts";
import type { ObjectStore } from "../ports/object-store.ts";
import { fetchJobFiles } from "./fetch-job-files.ts";
import type { FetchedJobFiles } from "./fetch-job-files.ts";

const FACT = "jobs_without_files";
/** A digest takes seconds; a server that has died over it is replaced within minutes. */
const PATIENCE_MS = 10 * 60_000;
/** Between two looks. */
const WAIT_MS = 20_000;
/** More jobs than end in one night. */
const MAX_JOBS = 200;

export interface JobFilesOptions {
  store: ObjectStore;
  user: UserId;
  ledger: Pick<DropLedger, "readFact" | "writeFact">;
  clock: Clock;
  resultsDir: string;
  onFiles: (job: JobId, files: FetchedJobFiles) => void;
}

export interface JobFilesCollector {
  /** All of its items are here. */
  add(job: JobId): void;
  /** Looks for those whose time has come. @throws `transient`, `denied` where the store can't be asked. */
  look(): Promise<void>;
}

export function createJobFilesCollector(options: JobFilesOptions): JobFilesCollector {
  const { store, user, ledger, clock, resultsDir } = options;
  const waiting = new Map<JobId, Date>(readWaiting(ledger.readFact(FACT)));
  let nextMs = -Infinity;

  const save = (): void => {
    const rows = [...waiting].map(([job, since]) => [job, since.toISOString()]);
    ledger.writeFact(FACT, JSON.stringify(rows));
  };
  return {
    add(job) {
      waiting.delete(job);
      waiting.set(job, clock.now());
      const [oldest] = waiting.keys();
      if (waiting.size > MAX_JOBS && oldest !== undefined) waiting.delete(oldest);
      save();
      nextMs = -Infinity;
    },
    async look() {
      if (waiting.size === 0 || clock.monotonicMs() < nextMs) return;
      nextMs = clock.monotonicMs() + WAIT_MS;
      for (const [job, since] of waiting) {
        const files = await fetchJobFiles(store, user, job, resultsDir).catch((error: unknown) => {
          // Damaged or hostile: it does not get better by asking.
          if (isKind(error, "contract", "missing")) return null;
          throw error;
        });
        const isLate = clock.now().getTime() - since.getTime() > PATIENCE_MS;
        // Those of an earlier end of the same job may be there still.
        if (files !== null && files?.isNew !== true && !isLate) continue;
        waiting.delete(job);
        save();
        if (files?.isNew === true) options.onFiles(job, files);
      }
    },
  };
}

function readWaiting(fact: string | undefined): [JobId, Date][] {
  if (fact === undefined) return [];
  const rows = JSON.parse(fact) as [string, string][];
  return rows.map(([job, since]) => [JobId.parse(job), new Date(since)]);
}
