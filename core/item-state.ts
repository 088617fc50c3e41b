/**
 * The state machine of an item. Every function is one transition: it takes the state that was
 * read and returns the one to write by compare-and-swap. Nothing here does I/O.
 *
 * ```
 *            queueItem             claimItem                publishItem
 *  (none) ─────────────► queued ─────────────► processing ─────────────► complete | partial
 *                          ▲ ▲                   │ │ │ │ failItem
 *                          │ └── requeueItem ────┘ │ │ └───────────────► failed
 *                          │     (retry, drain)    │ │ cancelItem
 *                          │                       │ └─────────────────► cancelled
 *                          │                       │ holdItem
 *                          │                       └───────────────────► held
 *                          └──── a ticket of run + 1, taken by claimItem, from any state above
 *
 *           failUnsent: a dead link has nothing to claim
 *  (none) ─────────────────────────────────────────────► failed
 *  (none), held or an outcome ── endUnprepared ──► failed | held      (its file can't be prepared)
 * ```
 *
 * Invariants, each kept by the function in parentheses:
 *  1. The epoch only grows, by one a claim (claimItem).
 *  2. Only the owner under its epoch writes after a claim (assertOwned, in every other function).
 *  3. Attempts and fruitless claims are counted before the work begins (claimItem).
 *  4. A newer run resets attempts and the error, never the epoch or the manifest (claimItem).
 *  5. A run that fails, is held or cancelled leaves the earlier manifest in force (endRun).
 *  6. An item with an outcome or held has no owner (endRun, publishItem).
 *  7. A state never goes back to a smaller run (claimItem).
 *  8. An item that is queued or under way ends by its runner alone (endUnprepared).
 */
import { ClipscribeError } from "./errors.ts";
import type { ErrorRecord } from "./errors.ts";
import type { RunnerId } from "./ids.ts";
import { OUTCOMES } from "./records.ts";
import type { ItemState, ManifestRef, Outcome, StageRecord, Ticket } from "./records.ts";

/** Claims in a row that may end no stage; the next one fails the item (DESIGN: failed). */
export const MAX_FRUITLESS_CLAIMS = 5;

/** What an agent did for an item before its ticket. */
export interface Preparation {
  stages: ItemState["stages"];
  /** Where the original is in the bucket, if it went there. */
  videoKey: string | null;
}

/** The state an agent writes before the ticket: nobody owns it yet. */
export function queueItem(
  ticket: Ticket,
  now: Date,
  { stages, videoKey }: Preparation = { stages: {}, videoKey: null },
): ItemState {
  return {
    schema: 1,
    job_id: ticket.job_id,
    item_id: ticket.item_id,
    user: ticket.user,
    status: "queued",
    run: ticket.run,
    input: ticket,
    progress: 0,
    stage: null,
    attempts: 0,
    fruitless_claims: 0,
    not_before: null,
    epoch: 0,
    owner: null,
    pipeline_digest: ticket.pipeline_digest,
    manifest: null,
    cost: 0,
    estimate_usd: null,
    video_key: videoKey,
    results_key: null,
    error: null,
    stages,
    submitted_at: ticket.created_at,
    updated_at: now.toISOString(),
  };
}

/** The state of an item that has nothing to work on: it ends before anybody could claim it. */
export function failUnsent(ticket: Ticket, error: ErrorRecord, now: Date): ItemState {
  return { ...queueItem(ticket, now), status: "failed", input: null, progress: 100, error };
}

/** Takes the item for `owner`. Counts the attempt before any work is done. */
export function claimItem(state: ItemState, ticket: Ticket, owner: RunnerId, now: Date): ItemState {
  if (ticket.run < state.run) {
    throw new ClipscribeError("conflict", "the ticket's run is older than the item's", {
      details: { ticket: ticket.run, state: state.run },
    });
  }
  const isNewRun = ticket.run > state.run || hasEnded(state);
  return {
    ...state,
    status: "processing",
    run: ticket.run,
    input: ticket,
    pipeline_digest: ticket.pipeline_digest,
    owner,
    epoch: state.epoch + 1,
    attempts: (isNewRun ? 0 : state.attempts) + 1,
    fruitless_claims: (isNewRun ? 0 : state.fruitless_claims) + 1,
    not_before: null,
    progress: isNewRun ? 0 : state.progress,
    cost: isNewRun ? 0 : state.cost,
    stage: null,
    error: null,
    updated_at: now.toISOString(),
  };
}

export interface Owned {
  owner: RunnerId;
  epoch: number;
  now: Date;
}

export interface StageProgress {
  stages: Record<string, StageRecord>;
  stage: string | null;
  /** 0–100. */
  progress: number;
  cost: number;
  /** A stage ended, or a call was paid for, since the claim: it was not fruitless. */
  wasFruitful: boolean;
}

export function recordProgress(state: ItemState, by: Owned, progress: StageProgress): ItemState {
  assertOwned(state, by);
  return {
    ...state,
    stages: progress.stages,
    stage: progress.stage,
    progress: Math.max(state.progress, Math.round(progress.progress)),
    cost: progress.cost,
    fruitless_claims: progress.wasFruitful ? 0 : state.fruitless_claims,
    updated_at: by.now.toISOString(),
  };
}

/** Names the manifest: the one write that publishes. */
export function publishItem(
  state: ItemState,
  by: Owned,
  outcome: "complete" | "partial",
  publish: {
    manifest: ManifestRef;
    resultsKey: string;
    stages: ItemState["stages"];
    cost: number;
    /** Where it is known: what the run would cost in all, by estimate. */
    estimateUsd?: number | null;
  },
): ItemState {
  assertOwned(state, by);
  return {
    ...state,
    status: outcome,
    owner: null,
    stage: null,
    progress: 100,
    fruitless_claims: 0,
    manifest: publish.manifest,
    results_key: publish.resultsKey,
    stages: publish.stages,
    cost: publish.cost,
    estimate_usd: publish.estimateUsd ?? state.estimate_usd,
    error: null,
    updated_at: by.now.toISOString(),
  };
}

/**
 * Gives the item back. A claim that was drained, or ended for want of space, is not held against it;
 * a retry waits until `notBefore`.
 */
export function requeueItem(
  state: ItemState,
  by: Owned,
  reason:
    | { kind: "drained" }
    | { kind: "retry"; notBefore: Date; error: ErrorRecord; isOwn?: boolean },
): ItemState {
  assertOwned(state, by);
  const drained = reason.kind === "drained";
  const counts = !drained && reason.isOwn !== false;
  return {
    ...state,
    status: "queued",
    owner: null,
    stage: null,
    attempts: counts ? state.attempts : state.attempts - 1,
    // Nothing to take back where the claim had ended a stage: the count began anew.
    fruitless_claims: Math.max(0, state.fruitless_claims - (counts ? 0 : 1)),
    not_before: drained ? null : reason.notBefore.toISOString(),
    error: drained ? null : reason.error,
    updated_at: by.now.toISOString(),
  };
}

export function endRun(
  state: ItemState,
  by: Owned,
  end: {
    status: "failed" | "held" | "cancelled";
    error: ErrorRecord;
    stages: ItemState["stages"];
    cost: number;
    estimateUsd?: number | null;
  },
): ItemState {
  assertOwned(state, by);
  return {
    ...state,
    status: end.status,
    owner: null,
    stage: null,
    error: end.error,
    stages: end.stages,
    cost: end.cost,
    estimate_usd: end.estimateUsd ?? state.estimate_usd,
    updated_at: by.now.toISOString(),
  };
}

/** Ends a run whose file can't be made ready where it is; its ticket only brings the tail about. */
export function endUnprepared(
  state: ItemState | undefined,
  ticket: Ticket,
  end: { status: "failed" | "held"; error: ErrorRecord; stages: ItemState["stages"] },
  now: Date,
): ItemState {
  if (state?.status === "queued" || state?.status === "processing") {
    throw new ClipscribeError("conflict", "the item is under way", {
      details: { item: state.item_id, run: state.run },
    });
  }
  return {
    ...(state ?? queueItem(ticket, now)),
    ...end,
    run: ticket.run,
    input: ticket,
    pipeline_digest: ticket.pipeline_digest,
    attempts: 0,
    fruitless_claims: 0,
    not_before: null,
    cost: 0,
    updated_at: now.toISOString(),
  };
}

export function isOutcome(status: ItemState["status"]): status is Outcome {
  return (OUTCOMES as readonly string[]).includes(status);
}

/** True once the state's run is over: only a ticket of a newer run brings it back. */
export function hasEnded(state: ItemState): boolean {
  return isOutcome(state.status) || state.status === "held";
}

export type ClaimDecision =
  | { action: "claim" }
  /** The ticket's run is over: whoever meets it finishes the tail. */
  | { action: "finish-tail" }
  /** A newer run has begun: the ticket is deleted. */
  | { action: "delete-ticket" }
  | { action: "wait"; ms: number }
  /** A living runner has it. */
  | { action: "leave" }
  | { action: "fail"; why: string };

/** Decides what to do with a ticket, given the item's state. Pure; liveness comes in as a fact. */
export function planClaim(
  state: ItemState,
  ticket: Pick<Ticket, "run">,
  facts: { now: Date; ownerIsAlive: boolean },
): ClaimDecision {
  if (ticket.run < state.run) return { action: "delete-ticket" };
  const sameRun = ticket.run === state.run;
  if (sameRun && hasEnded(state)) return { action: "finish-tail" };
  if (state.status === "processing" && facts.ownerIsAlive) return { action: "leave" };
  if (sameRun && state.not_before !== null) {
    const ms = Date.parse(state.not_before) - facts.now.getTime();
    if (ms > 0) return { action: "wait", ms };
  }
  if (sameRun && state.fruitless_claims >= MAX_FRUITLESS_CLAIMS) {
    return { action: "fail", why: `${state.fruitless_claims} claims in a row ended no stage` };
  }
  return { action: "claim" };
}

function assertOwned(state: ItemState, by: Owned): void {
  if (state.owner === by.owner && state.epoch === by.epoch) return;
  throw new ClipscribeError("conflict", "another runner has taken the item", {
    details: { owner: state.owner ?? "nobody", epoch: state.epoch, mine: by.epoch },
  });
}
