/**
 * One short critical section for all processes that share a store. Node has no flock, and a lock
 * file left by a dead process needs guessing; SQLite's file lock is released by the system when
 * its process ends, however it ends. Nothing is ever written to this database.
 */
import { DatabaseSync } from "node:sqlite";

import { ClipscribeError } from "../../core/errors.ts";

/** A critical section takes microseconds; whoever waits this long waits for a hung machine. */
const BUSY_MS = 10_000;

export interface ProcessLock {
  /** Runs `work`, which must be synchronous, while no other process runs any. */
  run<Value>(work: () => Value): Value;
  close(): void;
}

export function openProcessLock(path: string): ProcessLock {
  const database = new DatabaseSync(path, { timeout: BUSY_MS });
  // Or each lock would create a journal's file and delete it: in memory there is none to roll back.
  database.exec("PRAGMA journal_mode = MEMORY");
  const begin = database.prepare("BEGIN IMMEDIATE");
  const end = database.prepare("ROLLBACK");
  return {
    run(work) {
      try {
        begin.run();
      } catch (cause) {
        throw new ClipscribeError("transient", "another process holds the store", {
          details: { path },
          hint: "run again; if it stays so, look for a stopped clipscribe process",
          cause,
        });
      }
      try {
        return work();
      } finally {
        end.run();
      }
    },
    close: () => database.close(),
  };
}
