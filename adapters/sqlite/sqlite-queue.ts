/**
 * The queue as a SQLite file, shared by the processes of one machine. Leases and delays run by the
 * machine's wall clock, which its processes share. A sender wakes waiting pullers by touching a
 * file beside the database; a slow poll covers what the file system does not tell.
 *
 * A commit survives its process, not a power cut: a message is only a hint, the ticket that it
 * speaks of is flushed, and the sweep finds it. So a send costs no flush.
 */
import { randomUUID } from "node:crypto";
import { closeSync, futimesSync, openSync, watch } from "node:fs";
import type { FSWatcher } from "node:fs";

import { ClipscribeError, DISK_FULL } from "../../core/errors.ts";
import { MAX_DELAY_MS, MAX_EVENT_BYTES } from "../../ports/event-queue.ts";
import type { EventQueue, LeasedEvent, PullOptions } from "../../ports/event-queue.ts";
import { openDatabase } from "./open-database.ts";

/** Looks again at least so often, should a wake-up be missed. */
const SAFETY_POLL_MS = 1_000;

export interface SqliteQueueOptions {
  file: string;
  /** Several queues may share a file. */
  name: string;
  now?: () => number;
}

interface DueRow {
  id: string;
  body: string;
  attempts: number;
}

const SCHEMA = `
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = NORMAL;
  CREATE TABLE IF NOT EXISTS events (
    id TEXT PRIMARY KEY, queue TEXT NOT NULL, body TEXT NOT NULL,
    visible_at INTEGER NOT NULL, lease TEXT, attempts INTEGER NOT NULL DEFAULT 0
  ) STRICT;
  CREATE INDEX IF NOT EXISTS events_due ON events (queue, visible_at);
  CREATE UNIQUE INDEX IF NOT EXISTS events_lease ON events (lease) WHERE lease IS NOT NULL;
`;

export function openSqliteQueue(options: SqliteQueueOptions): EventQueue & AsyncDisposable {
  const { file, name, now = Date.now } = options;
  const database = guard(() => openDatabase(file, SCHEMA));
  const bell = openBell(`${file}.${name}.wake`);
  const insert = database.prepare("INSERT INTO events VALUES (?, ?, ?, ?, NULL, 0)");
  const due = database.prepare(
    `SELECT id, body, attempts FROM events WHERE queue = ? AND visible_at <= ?
     ORDER BY visible_at LIMIT ?`,
  );
  // Each lease is another attempt: who has seen an older one has been overtaken.
  const lease = database.prepare(
    `UPDATE events SET lease = ?, visible_at = ?, attempts = attempts + 1
     WHERE id = ? AND attempts = ? AND visible_at <= ?`,
  );
  const nextDue = database.prepare("SELECT min(visible_at) AS at FROM events WHERE queue = ?");
  const remove = database.prepare("DELETE FROM events WHERE lease = ? AND visible_at > ?");
  const giveBack = database.prepare(
    "UPDATE events SET lease = NULL, visible_at = ? WHERE lease = ? AND visible_at > ?",
  );

  function inTransaction<Value>(work: () => Value): Value {
    return guard(() => {
      database.exec("BEGIN IMMEDIATE");
      try {
        const value = work();
        database.exec("COMMIT");
        return value;
      } catch (error) {
        database.exec("ROLLBACK");
        throw error;
      }
    });
  }

  function take(max: number, visibilityMs: number): LeasedEvent[] {
    // Looking first takes no lock, and most looks find nothing.
    const found = look(max);
    if (found.length === 0) return [];
    const leaseAll = (rows: readonly DueRow[]): LeasedEvent[] =>
      rows.flatMap((row) => leaseOne(row, visibilityMs) ?? []);
    // One alone is won or lost by its update; of many, other pullers see the same until the lock.
    return found.length === 1 ? leaseAll(found) : inTransaction(() => leaseAll(look(max)));
  }

  function look(max: number): DueRow[] {
    return due.all(name, now(), max) as unknown as DueRow[];
  }

  function leaseOne({ id, body, attempts }: DueRow, visibilityMs: number): LeasedEvent | undefined {
    const leaseId = randomUUID();
    const at = now();
    const { changes } = lease.run(leaseId, at + visibilityMs, id, attempts, at);
    return changes === 0 ? undefined : { id, leaseId, body, attempts: attempts + 1 };
  }

  function untilNext(deadline: number): number {
    const { at } = nextDue.get(name) as { at: number | null };
    const waitMs = Math.min(deadline - now(), SAFETY_POLL_MS, (at ?? Infinity) - now());
    return Math.max(1, waitMs);
  }

  return {
    async send(body, send = {}) {
      const delayMs = send.delayMs ?? 0;
      if (Buffer.byteLength(body) > MAX_EVENT_BYTES || delayMs > MAX_DELAY_MS || delayMs < 0) {
        throw new ClipscribeError("contract", "the queue takes no such message", {
          details: { bytes: Buffer.byteLength(body), delay_ms: delayMs },
        });
      }
      guard(() => insert.run(randomUUID(), name, body, now() + delayMs));
      bell.ring();
    },

    async pull(pull: PullOptions) {
      const deadline = now() + (pull.waitMs ?? 0);
      // Before the first look: what is sent after it rings.
      if (pull.waitMs !== undefined) bell.listen();
      for (;;) {
        throwIfAborted(pull.signal);
        const events = guard(() => take(pull.max, pull.visibilityMs));
        if (events.length > 0 || now() >= deadline) return events;
        await bell.wait(untilNext(deadline), pull.signal);
      }
    },

    async ack(leaseIds) {
      if (leaseIds.length === 0) return;
      inTransaction(() => {
        for (const leaseId of leaseIds) remove.run(leaseId, now());
      });
    },

    async retry(leases) {
      inTransaction(() => {
        for (const { leaseId, delayMs } of leases) giveBack.run(now() + delayMs, leaseId, now());
      });
      bell.ring();
    },

    [Symbol.asyncDispose]() {
      bell.close();
      database.close();
      return Promise.resolve();
    },
  };
}

interface Bell {
  /** Wakes who waits, in every process that listens. */
  ring(): void;
  listen(): void;
  /** Resolves at a ring, after `ms`, or at the abort: the caller looks again in any case. */
  wait(ms: number, signal: AbortSignal | undefined): Promise<void>;
  close(): void;
}

/** A file that senders touch and waiting pullers watch. */
function openBell(path: string): Bell {
  const fd = openSync(path, "a");
  const waiting = new Set<() => void>();
  let watcher: FSWatcher | undefined;
  const ringHere = (): void => {
    for (const wake of waiting) wake();
  };
  return {
    ring() {
      const now = new Date();
      futimesSync(fd, now, now);
      ringHere();
    },
    listen() {
      watcher ??= watch(path, { persistent: false })
        .on("change", ringHere)
        .on("error", () => undefined);
    },
    wait(ms, signal) {
      return new Promise((resolve) => {
        const wake = (): void => {
          clearTimeout(timer);
          waiting.delete(wake);
          signal?.removeEventListener("abort", wake);
          resolve();
        };
        const timer = setTimeout(wake, ms);
        waiting.add(wake);
        signal?.addEventListener("abort", wake, { once: true });
      });
    },
    close() {
      watcher?.close();
      closeSync(fd);
      ringHere();
    },
  };
}

function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted !== true) return;
  throw new ClipscribeError("cancelled", "the work was interrupted", { cause: signal.reason });
}

function guard<Value>(work: () => Value): Value {
  try {
    return work();
  } catch (cause) {
    if (cause instanceof ClipscribeError) throw cause;
    const { errcode } = cause as { errcode?: number };
    // SQLite's primary result codes: 5 BUSY, 6 LOCKED, 8 READONLY, 10 IOERR, 13 FULL, 14 CANTOPEN.
    const primary = (errcode ?? 0) & 0xff;
    const kind = primary === 8 || primary === 14 ? "denied" : "transient";
    const message = primary === 13 ? DISK_FULL : "the queue's file can't be used now";
    throw new ClipscribeError(kind, message, {
      hint: "check that its folder is writable and the disk has room, then run again",
      cause,
    });
  }
}
