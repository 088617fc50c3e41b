/** The states of a job's items, many reads at once. */
import { ClipscribeError } from "../core/errors.ts";
import type { ItemId, JobId, UserId } from "../core/ids.ts";
import { keysOf } from "../core/keys.ts";
import { ItemState } from "../core/records.ts";
import type { Metadata } from "../core/records.ts";
import type { ObjectStore } from "../ports/object-store.ts";
import { readRecord } from "./stored-records.ts";

const READS_AT_ONCE = 16;

/** In the order of the metadata; items without a state are left out. */
export async function readItemStates(
  store: ObjectStore,
  user: UserId,
  { job_id: job, items }: Pick<Metadata, "job_id" | "items">,
): Promise<ItemState[]> {
  const states: (ItemState | undefined)[] = [];
  const queue = items.entries();
  const worker = async (): Promise<void> => {
    for (const [index, { item_id: item }] of queue) {
      const found = await readRecord(store, keysOf(user).item(job, item), ItemState);
      states[index] = found?.value;
    }
  };
  await Promise.all(Array.from({ length: READS_AT_ONCE }, worker));
  return states.filter((state) => state !== undefined);
}

/** @throws `contract` for one that can't be read, or speaks of another item: its name is a folder's. */
export async function readOwnState(
  store: ObjectStore,
  user: UserId,
  job: JobId,
  item: ItemId,
): Promise<ItemState | undefined> {
  const state = (await readRecord(store, keysOf(user).item(job, item), ItemState))?.value;
  if (state === undefined || (state.job_id === job && state.item_id === item)) return state;
  throw new ClipscribeError("contract", "a state speaks of another item", {
    details: { item, says: `${state.job_id}/${state.item_id}` },
    hint: "do not trust who writes that bucket",
  });
}
