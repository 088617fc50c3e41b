/** What became of a job, as facts: from its rows and records to `digest.json`. Pure. */
import { digestOf } from "./digest.ts";
import type { ErrorRecord } from "./errors.ts";
import type { ItemId, JobId, Sha256, UserId } from "./ids.ts";
import type { Digest, DigestItem } from "./message-records.ts";
import type { JobRow, JobStatus, Metadata } from "./records.ts";
import { safeLine } from "./safe-text.ts";

/** A title longer than this is a description. */
const MAX_TITLE_CHARS = 200;
const MAX_WHY_CHARS = 500;

/** What the rows of a job are: a message or a digest belongs to one such digest. */
export function digestOfRows(rows: JobStatus["rows"]): Sha256 {
  return digestOf(rows);
}

/** Two jobs may have the same rows; no two have the same message. */
export function messageIdOf(user: UserId, job: JobId, rows: Sha256): Sha256 {
  return digestOf({ user, job, rows });
}

/** What `clipscribe run` makes: its person waits for it, and needs no message. */
export function isOneOff(job: JobId): boolean {
  return job.startsWith("run-");
}

export interface ItemFacts {
  item: ItemId;
  row: JobRow;
  source: { url: string | null; filename: string };
  /** Of what is published; null where nothing is, or it can't be read. */
  title: string | null;
  report: string | null;
  /** What is missing of a partial item, and why. */
  missing: readonly string[];
  /** Of an item that did not get through. */
  error: ErrorRecord | null;
}

export interface JobFacts {
  metadata: Metadata;
  status: JobStatus;
  items: readonly ItemFacts[];
  /** What the job's book says was spent. */
  spentUsd: number;
  graph: Digest["graph"];
}

export function describeJob({ metadata, status, items, spentUsd, graph }: JobFacts): Digest {
  const rows = items.map(({ row }) => row);
  const counts = countRows(rows);
  const ofRuns = sumOfRows(rows);
  return {
    schema: 1,
    job_id: metadata.job_id,
    submitted_at: metadata.submitted_at,
    finished_at: status.updated_at,
    lane: metadata.lane,
    pipeline: metadata.pipeline,
    counts,
    // A run's cost is its own: what earlier runs of an item cost is in the book alone.
    cost_usd: Math.max(spentUsd, ofRuns),
    items: items.map((facts) => describeItem(metadata.job_id, facts)),
    graph,
  };
}

function describeItem(job: JobId, facts: ItemFacts): DigestItem {
  const { item, row, source, error } = facts;
  const why = [...facts.missing, ...(error === null ? [] : [error.message])];
  return {
    item_id: item,
    title: safeLine(facts.title ?? source.filename, MAX_TITLE_CHARS) || item,
    url: source.url,
    status: row.status,
    run: row.run,
    cost_usd: row.cost,
    report: facts.report === null ? null : `${item}/${facts.report}`,
    why: why.map((line) => safeLine(line, MAX_WHY_CHARS)),
    act: planAct(job, facts),
  };
}

/** What only a person can do. A partial item says what it lacks, and waits for nobody. */
function planAct(job: JobId, { item, row, error }: ItemFacts): DigestItem["act"] {
  if (row.status !== "held" && row.status !== "failed") return null;
  if (row.status === "held" && error?.kind === "budget") {
    return {
      say: "say that it may cost what it is estimated to",
      command: `clipscribe approve ${job}`,
    };
  }
  const say = safeLine(error?.hint ?? error?.message ?? "look at its log", MAX_WHY_CHARS);
  return { say, command: `clipscribe replay ${job}/${item}` };
}

/** `47 complete, 1 partial, 1 held, 1 failed` */
export function countsInWords(counts: Digest["counts"]): string {
  const named = Object.entries(counts).filter(([, count]) => count > 0);
  return named.map(([name, count]) => `${count} ${name}`).join(", ") || "nothing in it";
}

export function countRows(rows: readonly JobRow[]): Digest["counts"] {
  const counts = { complete: 0, partial: 0, held: 0, failed: 0, cancelled: 0 };
  for (const { status } of rows) {
    if (status in counts) counts[status as keyof typeof counts]++;
  }
  return counts;
}

/** USD of the items' last runs. */
export function sumOfRows(rows: readonly JobRow[]): number {
  return rows.reduce((sum, { cost }) => sum + cost, 0);
}
