/**
 * What whoever hands items over wants done where the file is, and before the ticket: the edge
 * stages, and the original brought into the bucket where somebody needs it there.
 */
import type { ClipscribeError } from "../core/errors.ts";
import type { Preparation } from "../core/item-state.ts";
import type { ItemState, PreparedStage, Ticket, TicketArtifact } from "../core/records.ts";

export interface PreparedWork extends Preparation {
  /** Of edge stages; durable in the bucket. */
  artifacts: TicketArtifact[];
  prepared: PreparedStage[];
  /** Why the item can't get its ticket; null where it can. */
  error: ClipscribeError | null;
}

/** `before`: what earlier runs recorded of each stage. @throws only what ends the whole handing over. */
export type PrepareItem = (ticket: Ticket, before: ItemState["stages"]) => Promise<PreparedWork>;
