/**
 * Sends again what a runner misses, from the machine that has the original: runs the edge stages
 * whose artifacts are gone, uploads what is needed, and writes the next run's ticket. Cut off
 * anywhere it can be done again; two machines that do it at once end with one ticket.
 */
import { existsSync } from "node:fs";
import { basename } from "node:path";

import { sha256Of } from "../core/digest.ts";
import { isHeld, toErrorRecord } from "../core/errors.ts";
import { endUnprepared } from "../core/item-state.ts";
import { keysOf, parseObjectKey } from "../core/keys.ts";
import type { ObjectKey } from "../core/keys.ts";
import { SIDECAR_PREFIX, isSidecar } from "../core/records.ts";
import type { ItemState, Ticket } from "../core/records.ts";
import type { Clock } from "../ports/clock.ts";
import type { Etag, ObjectStore } from "../ports/object-store.ts";
import { planResentTicket } from "./plan-resend.ts";
import type { PrepareItem } from "./prepare-port.ts";
import { putBytesIfAbsent, putRecord, putRecordIfAbsent } from "./stored-records.ts";
import { readSidecar } from "./submit-job.ts";

export interface ResendRequest {
  /** As it was read, held for something that is missing. */
  state: ItemState;
  etag: Etag;
  /** Absolute paths of the caption files that were handed in with it, as far as they are still here. */
  sidecars: readonly string[];
  prepare: PrepareItem;
}

export type Resent =
  | { action: "ticket"; ticket: ObjectKey; run: number }
  /** The file can't be made ready now: the item's state says why. The ticket is for the tail. */
  | { action: "ended"; ticket: ObjectKey; run: number; state: ItemState }
  /** Others were faster, or there is nothing to send for. */
  | { action: "none" };

/** @throws `conflict` where the item has changed since it was read. */
export async function resendItem(
  store: ObjectStore,
  clock: Clock,
  { state, etag, sidecars, prepare }: ResendRequest,
): Promise<Resent> {
  if (state.input === null) return { action: "none" };
  const draft = planResentTicket(state, state.input, clock.now());
  const keys = keysOf(draft.user);
  await sendSidecars(store, draft, sidecars);
  const { artifacts, prepared, stages, error } = await prepare(draft, state.stages);
  const ticket = { ...draft, artifacts: [...draft.artifacts, ...artifacts], prepared };
  const key = keys.ticket(draft.lane, draft.job_id, draft.item_id, draft.run);
  if (error !== null) {
    const status = isHeld(error) ? ("held" as const) : ("failed" as const);
    const end = { status, error: toErrorRecord(error), stages: { ...state.stages, ...stages } };
    const ended = endUnprepared(state, ticket, end, clock.now());
    await putRecord(store, keys.item(draft.job_id, draft.item_id), ended, etag);
    await putRecordIfAbsent(store, key, ticket);
    return { action: "ended", ticket: key, run: draft.run, state: ended };
  }
  if (!(await putRecordIfAbsent(store, key, ticket))) return { action: "none" };
  return { action: "ticket", ticket: key, run: draft.run };
}

/** Those whose bytes are still what the ticket names; a changed one is another drop. */
async function sendSidecars(
  store: ObjectStore,
  ticket: Ticket,
  paths: readonly string[],
): Promise<void> {
  const wanted = ticket.artifacts.filter(isSidecar);
  for (const path of paths) {
    if (!existsSync(path)) continue;
    const body = readSidecar(path);
    const sha256 = sha256Of(body);
    const found = wanted.find(
      (each) => each.sha256 === sha256 && each.name === `${SIDECAR_PREFIX}${basename(path)}`,
    );
    if (found !== undefined) await putBytesIfAbsent(store, parseObjectKey(found.key), body);
  }
}
