/**
 * The rows of a job's `status.json`. Tails that end together share one write; a write that lost
 * the race is merged and tried again. The job is finished when every item of its metadata has an
 * outcome or is held.
 */
import { ClipscribeError, isKind } from "../core/errors.ts";
import type { ItemId, JobId } from "../core/ids.ts";
import type { UserKeys } from "../core/keys.ts";
import { OUTCOMES, JobStatus } from "../core/records.ts";
import type { JobRow, Metadata } from "../core/records.ts";
import type { Clock } from "../ports/clock.ts";
import type { Etag, ObjectStore } from "../ports/object-store.ts";
import type { JobMetadata } from "./job-metadata.ts";

/** Racing writers each win in turn; more rounds than this mean something else is wrong. */
const MAX_ROUNDS = 50;
/** The next write waits a multiple of the last one's time: all of them take a tenth of a runner's at most. */
const REST_FACTOR = 9;
/** But no longer than this: a process that was stopped in its write took its time for other reasons. */
const MAX_REST_MS = 5_000;
/** Jobs whose rows are remembered; the oldest is forgotten and read again when needed. */
const MAX_REMEMBERED = 16;

export interface JobRows {
  /** Resolves once the row is durable. */
  set(job: JobId, item: ItemId, row: JobRow): Promise<void>;
}

export interface FinishedJob {
  metadata: Metadata;
  status: JobStatus;
}

interface Waiting {
  item: ItemId;
  row: JobRow;
  resolve(): void;
  reject(error: unknown): void;
}

export interface JobRowsOptions {
  store: ObjectStore;
  keys: UserKeys;
  jobs: JobMetadata;
  clock: Clock;
  /** Called after each write or look that finds all rows over, before their tails go on. */
  onFinished?: (finished: FinishedJob) => Promise<void>;
  /** Once it aborts, no write waits for others: the process ends soon. */
  stopping?: AbortSignal;
  /** Items that are worked on or about to be, whose rows will come: where there are none, no write waits. */
  toCome?: () => number;
}

export function openJobRows(options: JobRowsOptions): JobRows {
  const { store, keys, jobs, clock, stopping } = options;
  const { onFinished = () => Promise.resolve(), toCome = () => Infinity } = options;
  const queues = new Map<JobId, Waiting[]>();
  const written = new Map<JobId, WrittenStatus>();
  const rests = new Set<AbortController>();

  const endRests = (): void => {
    for (const end of rests) end.abort();
  };
  stopping?.addEventListener("abort", endRests, { once: true });

  /** For rows that are to come; the last of them ends it. */
  async function rest(ms: number): Promise<void> {
    if (toCome() === 0 || stopping?.aborted === true) return;
    const end = new AbortController();
    rests.add(end);
    await clock.sleep(ms, end.signal).catch(() => undefined);
    rests.delete(end);
  }

  async function drain(job: JobId, queue: Waiting[]): Promise<void> {
    let restMs = 0;
    while (queue.length > 0) {
      await rest(restMs);
      const batch = queue.splice(0);
      const startedMs = clock.monotonicMs();
      try {
        const finished = await writeRows({ store, keys, jobs, clock, written }, job, batch);
        if (finished !== null) await onFinished(finished);
        for (const { resolve } of batch) resolve();
      } catch (error) {
        for (const { reject } of batch) reject(error);
      }
      restMs = Math.min(MAX_REST_MS, (clock.monotonicMs() - startedMs) * REST_FACTOR);
    }
    queues.delete(job);
  }

  return {
    set(job, item, row) {
      return new Promise((resolve, reject) => {
        const waiting = { item, row, resolve, reject };
        if (toCome() === 0) endRests();
        const queue = queues.get(job);
        if (queue !== undefined) {
          queue.push(waiting);
          return;
        }
        const created = [waiting];
        queues.set(job, created);
        void drain(job, created);
      });
    },
  };
}

interface RowWriter {
  store: ObjectStore;
  keys: UserKeys;
  jobs: JobMetadata;
  clock: Clock;
  /** As this process last wrote them: read again only where another has written since. */
  written: Map<JobId, WrittenStatus>;
}

interface WrittenStatus {
  status: JobStatus;
  etag: Etag;
}

function remember(written: Map<JobId, WrittenStatus>, job: JobId, last: WrittenStatus): void {
  written.set(job, last);
  const [oldest] = written.keys();
  if (written.size > MAX_REMEMBERED && oldest !== undefined) written.delete(oldest);
}

/** Returns the job if all its rows are over now. */
async function writeRows(
  { store, keys, jobs, clock, written }: RowWriter,
  job: JobId,
  batch: readonly Waiting[],
): Promise<FinishedJob | null> {
  const key = keys.status(job);
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const current = written.get(job) ?? (await readStatus(store, keys, job));
    // Taken out while it is changed: what is remembered is what was written, or nothing.
    written.delete(job);
    const status = current?.status ?? emptyStatus(job, clock);
    const changed = batch.filter(({ item, row }) => isNewer(row, status.rows[item]));
    if (current !== undefined && changed.length === 0) {
      remember(written, job, current);
      // A tail that is repeated: the one before may have died before the job's end.
      return status.status === "finished" ? { metadata: await jobs.read(job), status } : null;
    }
    for (const { item, row } of changed) status.rows[item] = row;
    const now = clock.now().toISOString();
    const metadata = await jobs.read(job);
    const finished = isFinished(metadata, status);
    status.updated_at = now;
    if (finished && status.status !== "finished") status.finished_at = now;
    if (!finished) status.finished_at = null;
    status.status = finished ? "finished" : "running";
    try {
      const body = Buffer.from(JSON.stringify(status));
      const etag = await store.put(key, body, { ifMatch: current?.etag ?? null });
      remember(written, job, { status, etag });
      return finished ? { metadata, status } : null;
    } catch (error) {
      if (!isKind(error, "conflict")) throw error;
    }
  }
  throw new ClipscribeError("transient", "the job's status changes too fast", {
    details: { job },
  });
}

export async function readStatus(
  store: ObjectStore,
  keys: UserKeys,
  job: JobId,
): Promise<WrittenStatus | undefined> {
  try {
    const { body, etag } = await store.get(keys.status(job));
    const status = JobStatus.parse(JSON.parse(Buffer.from(body).toString("utf8")));
    return { status, etag };
  } catch (error) {
    if (isKind(error, "missing")) return undefined;
    throw error;
  }
}

/** A row of an older run never replaces a newer one's. */
function isNewer(row: JobRow, current: JobRow | undefined): boolean {
  if (current === undefined || row.run > current.run) return true;
  return row.run === current.run && JSON.stringify(row) !== JSON.stringify(current);
}

function isFinished({ items }: Metadata, status: JobStatus): boolean {
  const over: readonly string[] = [...OUTCOMES, "held"];
  return items.every(({ item_id: item }) => over.includes(status.rows[item]?.status ?? ""));
}

function emptyStatus(job: JobId, clock: Clock): JobStatus {
  const now = clock.now().toISOString();
  return {
    schema: 1,
    job_id: job,
    status: "running",
    rows: {},
    finished_at: null,
    updated_at: now,
  };
}
