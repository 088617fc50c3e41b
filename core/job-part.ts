/**
 * What is made of a job as a whole, as a state machine. Nothing here does I/O.
 *
 * ```
 *             claimJobPart                    endJobPart
 *  (none) ───────────────────► processing ────────────────► complete | failed
 *                               ▲      │  nameManifest          │
 *                               │      └──────┐                 │
 *                               └─ claimJobPart, by other rows ─┘
 *                                  or a dead owner
 * ```
 *
 * Invariants: the epoch only grows; an attempt is counted before its work; only the owner under its
 * epoch writes (assertOwned); what is complete for some rows is never made of them again.
 */
import { ClipscribeError } from "./errors.ts";
import type { ErrorRecord } from "./errors.ts";
import type { JobId, RunnerId, Sha256, UserId } from "./ids.ts";
import type { JobPart } from "./message-records.ts";

/** Claims in a row that ended nothing: the message goes out without a digest. */
export const MAX_JOB_PART_CLAIMS = 5;

export type JobPartDecision = "done" | "leave" | "claim" | "give-up";

/** Decides what to do for a finished job's rows. Liveness comes in as a fact. */
export function planJobPart(
  part: JobPart | undefined,
  rows: Sha256,
  facts: { ownerIsAlive: boolean },
): JobPartDecision {
  if (part === undefined || part.rows_sha256 !== rows) return "claim";
  if (part.status !== "processing") return "done";
  if (facts.ownerIsAlive) return "leave";
  return part.attempts >= MAX_JOB_PART_CLAIMS ? "give-up" : "claim";
}

export interface JobPartOwner {
  owner: RunnerId;
  now: Date;
}

export function claimJobPart(
  part: JobPart | undefined,
  job: { job_id: JobId; user: UserId; rows_sha256: Sha256 },
  { owner, now }: JobPartOwner,
): JobPart {
  const isSame = part?.rows_sha256 === job.rows_sha256;
  return {
    schema: 1,
    ...job,
    status: "processing",
    epoch: (part?.epoch ?? 0) + 1,
    owner,
    attempts: (isSame ? part.attempts : 0) + 1,
    manifest: part?.manifest ?? null,
    error: null,
    updated_at: now.toISOString(),
  };
}

/** The one write that publishes a job's own files. */
export function nameManifest(
  part: JobPart,
  by: JobPartOwner & { epoch: number },
  manifest: NonNullable<JobPart["manifest"]>,
): JobPart {
  assertOwned(part, by);
  return { ...part, manifest, updated_at: by.now.toISOString() };
}

export function endJobPart(
  part: JobPart,
  by: JobPartOwner & { epoch: number },
  error: ErrorRecord | null,
): JobPart {
  assertOwned(part, by);
  const status = error === null ? "complete" : "failed";
  return { ...part, status, owner: null, error, updated_at: by.now.toISOString() };
}

function assertOwned(part: JobPart, by: { owner: RunnerId; epoch: number }): void {
  if (part.owner === by.owner && part.epoch === by.epoch) return;
  throw new ClipscribeError("conflict", "another runner finishes the job", {
    details: { owner: part.owner ?? "nobody", epoch: part.epoch, mine: by.epoch },
  });
}
