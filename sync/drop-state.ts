/**
 * A drop on its way from the inbox to its ticket. Two halves: until its bytes are known it exists in
 * memory only (`WaitingDrop`; a crash makes the agent look again), from then on in the ledger.
 *
 * ```
 *            lookAgain: changed         probe: cut off (deferDrop)
 *               ┌──────┐               ┌────────────────┐
 *  seeDrop      │      ▼               ▼                │
 *  ───────► seen ─► settling ─────► settling ──────► probing ──────► hashing      memory
 *                      equal often enough                │              │
 * ─────────────────────────────────────────────────────────────────────│────────────────
 *             (nothing usable, or cut off for too long)  ▼              ▼  intent noted
 *                                      rejecting ◄────────────────── hashed       ledger
 *                                          │                            │ preparing: edge stages
 *                                          │                            │ uploading: the bucket has it
 *                                          ▼                            ▼ ticket durable
 *                                      rejected                   acknowledged ─► done
 *                                      (beside its .reason.txt)                   (original in done/)
 * ```
 *
 * `preparing` and `uploading` are the phases of a drop's items (`phaseOf`): each item goes on by
 * itself. Where the store is a disk of this machine, the original moves before the ticket, since
 * the ticket has it read where it lies (docs/decisions/2026-11-25-the-drop.md).
 *
 * Invariants, each kept by the function in parentheses:
 *  1. Nothing is read before several looks, spaced by the writer's own rhythm, agree (lookAgain).
 *  2. A change sets the count back, whatever was known (lookAgain).
 *  3. A container that ends too early is never hashed; it is looked at again without an event
 *     (deferDrop), and rejected only when it stood still for PATIENCE_MS (isOutOfPatience).
 *  4. The intent is in the ledger before anything is sent or moved (readDrop, in read-drop.ts).
 *  5. What is moved is what was hashed (moveOriginal); what is not goes back and is a new drop.
 *  6. A name with an open drop in the ledger has no second one (agent.ts, `observe`).
 */
import type { DropItem, DropRecord } from "../core/drop-records.ts";

/** So many looks in a row must agree with the one before. */
export const EQUAL_LOOKS = 3;
/** A writer that paused so long may pause half as long again. */
const GAP_FACTOR = 1.5;
/** Looks are never further apart: a person waits. */
const MAX_SPACING_MS = 60_000;
/** A file that is cut off and stands still is nobody's copy in progress any more. */
export const PATIENCE_MS = 10 * 60_000;

export interface Rhythm {
  /** A file that is never seen to change is settled after so long. */
  settleMs: number;
  patienceMs: number;
}

export interface WaitingDrop {
  readonly name: string;
  readonly kind: "file" | "folder";
  readonly phase: "seen" | "settling" | "probing" | "hashing";
  /** Size, time and inode of it and of what belongs to it, at the last look. */
  readonly fingerprint: string | null;
  readonly equalLooks: number;
  /** When it was last seen to have changed, or first seen. */
  readonly changedAtMs: number;
  /** The longest time between two changes: the writer's rhythm. */
  readonly longestGapMs: number;
  /** The last look that counted. */
  readonly lookedAtMs: number;
  /** When it is looked at next. */
  readonly dueAtMs: number;
  /** Since when the same bytes are known to be cut off; null: they are not. */
  readonly shortSinceMs: number | null;
}

export function seeDrop(name: string, kind: "file" | "folder", nowMs: number): WaitingDrop {
  return {
    name,
    kind,
    phase: "seen",
    fingerprint: null,
    equalLooks: 0,
    changedAtMs: nowMs,
    longestGapMs: 0,
    lookedAtMs: nowMs,
    dueAtMs: nowMs,
    shortSinceMs: null,
  };
}

/** One look. `isMarked`: its writer says that it is complete; `isBusy`: it holds unfinished names. */
export function lookAgain(
  drop: WaitingDrop,
  look: { fingerprint: string; isMarked: boolean; isBusy: boolean },
  nowMs: number,
  rhythm: Rhythm,
): WaitingDrop {
  const { fingerprint, isMarked, isBusy } = look;
  const isFirst = drop.fingerprint === null;
  const isSame = drop.fingerprint === fingerprint && !isBusy;
  const gapMs = isFirst || isSame ? 0 : nowMs - drop.changedAtMs;
  const longestGapMs = Math.max(drop.longestGapMs, gapMs);
  const spacingMs = Math.min(
    MAX_SPACING_MS,
    Math.max(rhythm.settleMs / EQUAL_LOOKS, longestGapMs * GAP_FACTOR),
  );
  // Woken by an event a moment after the last look: equal, and no proof of anything.
  const isEarly =
    isSame && !isMarked && nowMs - drop.lookedAtMs < rhythm.settleMs / EQUAL_LOOKS / 2;
  if (isEarly) return { ...drop, dueAtMs: drop.lookedAtMs + spacingMs };
  const equalLooks = isSame ? drop.equalLooks + 1 : 0;
  const isSettled = !isBusy && (isMarked || equalLooks >= EQUAL_LOOKS);
  return {
    ...drop,
    phase: isSettled ? "probing" : "settling",
    fingerprint,
    equalLooks,
    changedAtMs: isSame ? drop.changedAtMs : nowMs,
    longestGapMs,
    lookedAtMs: nowMs,
    dueAtMs: isSettled ? nowMs : nowMs + spacingMs,
    shortSinceMs: isSame ? drop.shortSinceMs : null,
  };
}

/** The container ends too early: somebody may still be writing it. Looked at again, without an event. */
export function deferDrop(drop: WaitingDrop, nowMs: number, rhythm: Rhythm): WaitingDrop {
  const spacingMs = Math.max(rhythm.settleMs, drop.longestGapMs * GAP_FACTOR);
  return {
    ...drop,
    phase: "settling",
    equalLooks: 0,
    dueAtMs: nowMs + Math.min(MAX_SPACING_MS, spacingMs),
    shortSinceMs: drop.shortSinceMs ?? drop.changedAtMs,
  };
}

export function isOutOfPatience(drop: WaitingDrop, nowMs: number, rhythm: Rhythm): boolean {
  return drop.shortSinceMs !== null && nowMs - drop.shortSinceMs >= rhythm.patienceMs;
}

/** The bytes that were probed are read next. */
export function passProbe(drop: WaitingDrop): WaitingDrop {
  return { ...drop, phase: "hashing", shortSinceMs: null };
}

/** An event: something about it may have changed, so it is looked at now. */
export function wakeDrop(drop: WaitingDrop, nowMs: number): WaitingDrop {
  if (drop.phase === "probing" || drop.phase === "hashing") return drop;
  return { ...drop, dueAtMs: Math.min(drop.dueAtMs, nowMs) };
}

export type ShownPhase =
  | WaitingDrop["phase"]
  | DropRecord["phase"]
  | "downloading"
  | "preparing"
  | "uploading";

/** The word for people: the slowest of its items says where a drop is. */
export function phaseOf(drop: DropRecord, items: readonly DropItem[]): ShownPhase {
  if (drop.phase !== "hashed") return drop.phase;
  const has = (phase: DropItem["phase"]): boolean => items.some((item) => item.phase === phase);
  if (has("pending")) return "downloading";
  if (has("hashed")) return "preparing";
  if (has("prepared")) return "uploading";
  return "hashed";
}
