/** Decides whether this machine can help an item that is held since a runner misses something. */
import { isSidecar } from "../core/records.ts";
import type { ItemState, Ticket } from "../core/records.ts";

/** What was sent so often and is missed again does not go missing by accident. */
export const MAX_RESENDS = 3;

export interface ResendFacts {
  /** The original, with the bytes that the item names, can be read here. */
  hasOriginal: boolean;
  /** The pipeline of the item's run is known here. */
  hasPipeline: boolean;
}

export type ResendDecision =
  | { action: "resend" }
  /** Nothing is missing here. */
  | { action: "none" }
  /** Something is, and this machine can't help; `why` is for a person. */
  | { action: "leave"; why: string };

export function planResend(state: ItemState, facts: ResendFacts): ResendDecision {
  if (state.status !== "held" || state.error?.kind !== "missing" || state.input === null) {
    return { action: "none" };
  }
  if (state.input.resends >= MAX_RESENDS) {
    return { action: "leave", why: `what is missing was sent ${MAX_RESENDS} times in vain` };
  }
  if (!facts.hasOriginal) return { action: "leave", why: "the original is not here" };
  if (!facts.hasPipeline) {
    return { action: "leave", why: "the pipeline of its run is not the one here" };
  }
  return { action: "resend" };
}

/** The next run's ticket, before it is known what edge stages make: nothing made before counts. */
export function planResentTicket(state: ItemState, input: Ticket, now: Date): Ticket {
  return {
    ...input,
    run: state.run + 1,
    artifacts: input.artifacts.filter(isSidecar),
    prepared: [],
    resends: input.resends + 1,
    created_at: now.toISOString(),
  };
}
