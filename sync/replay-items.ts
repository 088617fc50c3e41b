/** A new run of items that have ended: one put-if-absent of the next ticket, and nothing else. */
import { ClipscribeError, isKind } from "../core/errors.ts";
import type { ItemId, JobId, Sha256, UserId } from "../core/ids.ts";
import { hasEnded } from "../core/item-state.ts";
import { keysOf } from "../core/keys.ts";
import { ItemState, Metadata } from "../core/records.ts";
import type { Ticket } from "../core/records.ts";
import type { Clock } from "../ports/clock.ts";
import { getIfPresent } from "../ports/get-if-present.ts";
import type { ObjectStore } from "../ports/object-store.ts";

export interface ReplayRequest {
  user: UserId;
  job: JobId;
  /** Null: all items of the job that have ended. */
  item: ItemId | null;
  /** Of the pipeline in force: a replay takes that, not the one of before. */
  pipelineDigest: Sha256;
  fromStage: string | null;
}

/** @throws `missing` for a job or an item that there is not; `conflict` for one under way. */
export async function replayItems(
  store: ObjectStore,
  clock: Clock,
  request: ReplayRequest,
): Promise<{ item: ItemId; run: number }[]> {
  const { user, job } = request;
  const keys = keysOf(user);
  const found = await getIfPresent(store, keys.metadata(job));
  if (found === undefined) {
    throw new ClipscribeError("missing", "there is no such job", {
      details: { job },
      hint: "`clipscribe audit` counts those that there are",
    });
  }
  const metadata = Metadata.parse(JSON.parse(Buffer.from(found.body).toString("utf8")));
  const items =
    request.item === null ? metadata.items.map(({ item_id: id }) => id) : [request.item];
  const replayed: { item: ItemId; run: number }[] = [];
  for (const item of items) {
    const state = await readState(store, keys.item(job, item));
    if (state === undefined && request.item !== null) {
      throw new ClipscribeError("missing", "there is no such item", { details: { job, item } });
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
      run,
      pipeline_digest: request.pipelineDigest,
      from_stage: request.fromStage,
      created_at: clock.now().toISOString(),
    };
    const key = keys.ticket(state.input.lane, job, item, run);
    const body = Buffer.from(`${JSON.stringify(ticket, null, 1)}\n`);
    await store.put(key, body, { ifMatch: null }).catch((error: unknown) => {
      // Asked for twice: it waits already.
      if (!isKind(error, "conflict")) throw error;
    });
    replayed.push({ item, run });
  }
  return replayed;
}

async function readState(
  store: ObjectStore,
  key: ReturnType<ReturnType<typeof keysOf>["item"]>,
): Promise<ItemState | undefined> {
  const found = await getIfPresent(store, key);
  if (found === undefined) return undefined;
  return ItemState.parse(JSON.parse(Buffer.from(found.body).toString("utf8")));
}
