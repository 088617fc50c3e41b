/**
 * The laptop's own record of drops, jobs and items. What is about to be done (a drop and its ids, an
 * upload's id, the run of an `again`, the place an original moves to) is durable when the call returns,
 * also across a power cut, and with it all that was written before. What has been done may be lost by
 * one, together with what was written after it: it is found to be done. One agent writes; others read,
 * and hand work over by `spool`.
 */
import type { DropItem, DropOptions, DropPhase, DropRecord } from "../core/drop-records.ts";
import type { JobId, Sha256 } from "../core/ids.ts";

export interface KeptDrop {
  readonly id: number;
  readonly drop: DropRecord;
  readonly items: readonly DropItem[];
}

/** What a process that is not the agent asks of it. */
export interface Spooled {
  job: JobId;
  /** What people call it: the list's name, or the first file's. */
  name: string;
  kind: DropRecord["kind"];
  sources: readonly string[];
  urls: readonly string[];
  options: DropOptions;
}

export interface DropLedger extends Disposable {
  /** Notes a drop and its items at once. @returns its number, which only grows. */
  add(drop: DropRecord, items: readonly DropItem[]): number;
  get(id: number): KeptDrop | undefined;
  /** Changes a drop; what isn't named stays. */
  change(id: number, change: Partial<DropRecord>): void;
  /** Changes one item of a drop, by its name. */
  changeItem(id: number, name: string, change: Partial<DropItem>): void;
  /** Puts the items of a drop in place of those it had. */
  setItems(id: number, items: readonly DropItem[]): void;
  /** All that the agent has to go on with, oldest first. */
  listOpen(): KeptDrop[];
  /** What other processes have handed over since. */
  listSpooled(): KeptDrop[];
  /** The last that was handed off under this name with these bytes, as a drop of one file. */
  findSame(name: string, sha256: Sha256): KeptDrop | undefined;
  /** The last folder of this name that was put back because it changed while it was handed off. */
  findPutBack(name: string): KeptDrop | undefined;
  hasJob(job: JobId): boolean;
  findJob(job: JobId): KeptDrop | undefined;
  /** Newest first, what was handed off and what is on its way. */
  listRecentJobs(max: number): JobId[];
  countByPhase(): Partial<Record<DropPhase, number>>;

  /**
   * Hands work to the agent: it takes it up within a second, or when it next starts. The job's id is
   * the caller's (`newJobId`), so that it can be shown at once; `get` shows how far each item is.
   * Done when `drop.phase` is `done` (every item has a ticket or a reason) or `rejected`.
   *
   * @throws `conflict` where the job is there already.
   */
  spool(work: Spooled, at: Date): number;

  /** Items with a ticket whose outcome is not in the results folder yet. */
  listAwaited(): { id: number; job: JobId; item: DropItem }[];
  /** Of those, the ones that a person need not look at first (`held`). */
  countAwaited(): number;

  /** Digests of the pipelines that open drops and awaited items were taken on with. */
  listPipelines(): Set<Sha256>;

  /** Small facts that outlive a process, as when a server was last seen. */
  readFact(name: string): string | undefined;
  writeFact(name: string, value: string): void;
}
