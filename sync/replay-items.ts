/** A new run of items that have ended: one put-if-absent of the next ticket, and nothing else. */
import { ClipscribeError } from "../core/errors.ts";
import type { ItemId, JobId, Sha256, UserId } from "../core/ids.ts";
import { hasEnded } from "../core/item-state.ts";
import { keysOf } from "../core/keys.ts";
import { ItemState, Metadata } from "../core/records.ts";
import type { Ticket } from "../core/records.ts";
import type { Clock } from "../ports/clock.ts";
import type { ObjectStore } from "../ports/object-store.ts";
import { putRecordIfAbsent, readRecord } from "./stored-records.ts";

export interface ReplayRequest {
  user: UserId;
  job: JobId;
  /** Null: all items of the job that have ended. */
  item: ItemId | null;
  /** Of the pipeline in force: a replay takes that, not the one of before. */
  pipelineDigest: Sha256;
  fromStage: string | null;
  /** `fromStage` and the stages after it: what the laptop made of these does not count. */
  anew: ReadonlySet<string>;
}

/** @throws `missing` for a job or an item that there is not; `conflict` for one under way. */
export async function replayItems(
  store: ObjectStore,
  clock: Clock,
  request: ReplayRequest,
): Promise<{ item: ItemId; run: number }[]> {
  const { user, job } = request;
  const keys = keysOf(user);
  const found = await readRecord(store, keys.metadata(job), Metadata);
  if (found === undefined) {
    throw new ClipscribeError("missing", "there is no such job", {
      details: { job },
      hint: "`clipscribe audit` counts those that there are",
    });
  }
  const { value: metadata } = found;
  const items =
    request.item === null ? metadata.items.map(({ item_id: id }) => id) : [request.item];
  const replayed: { item: ItemId; run: number }[] = [];
  for (const item of items) {
    const state = (await readRecord(store, keys.item(job, item), ItemState))?.value;
    if (state === undefined && request.item !== null) {
      throw new ClipscribeError("missing", "there is no such item", { details: { job, item } });
    }
    if (state !== undefined && state.input === null && hasEnded(state)) {
      if (request.item === null) continue;
      throw new ClipscribeError("missing", "the item never had a file to work on", {
        details: { job, item },
        hint: "see why with `clipscribe batch status`, then submit its link again",
      });
    }
    if (state?.input == null || !hasEnded(state)) {
      if (request.item === null) continue;
      throw new ClipscribeError("conflict", "the item is under way", {
        details: { job, item },
        hint: "wait until it has ended",
      });
    }
    const run = state.run + 1;
    const ticket: Ticket = {
      ...state.input,
      prepared: state.input.prepared.filter(({ stage }) => !request.anew.has(stage)),
      resends: 0,
      run,
      pipeline_digest: request.pipelineDigest,
      from_stage: request.fromStage,
      created_at: clock.now().toISOString(),
    };
    const key = keys.ticket(state.input.lane, job, item, run);
    // Asked for twice: it waits already.
    await putRecordIfAbsent(store, key, ticket);
    replayed.push({ item, run });
  }
  return replayed;
}
