/**
 * Reads and swaps the state of one item. A swap whose answer was lost is resolved by reading: it
 * was ours if the bytes are ours.
 */
import { ClipscribeError, isKind } from "../core/errors.ts";
import { ItemId, JobId } from "../core/ids.ts";
import { parseTicketKey } from "../core/keys.ts";
import type { ObjectKey, TicketAddress, UserKeys } from "../core/keys.ts";
import { assertKnownVersion } from "../core/known-version.ts";
import { ItemState } from "../core/records.ts";
import { getIfPresent } from "../ports/get-if-present.ts";
import type { Durability, Etag, GetOptions, ObjectStore } from "../ports/object-store.ts";

export interface ItemVersion {
  state: ItemState;
  etag: Etag;
}

/** A swap is tried so often while the store answers with trouble and nobody else wrote. */
const SWAP_TRIES = 4;

/**
 * Returns `undefined` where there is none, or where it is still what `ifNoneMatch` says.
 *
 * @throws `contract` for a state that can't be read; nothing overwrites it.
 */
export async function readItem(
  store: ObjectStore,
  key: ObjectKey,
  options: Pick<GetOptions, "ifNoneMatch" | "signal"> = {},
): Promise<ItemVersion | undefined> {
  const found = await getIfPresent(store, key, options);
  return found && { state: parseItem(key, found.body), etag: found.etag };
}

/**
 * Writes `state` if the item is still at `expected`; `null` only creates, `undefined` overwrites.
 *
 * @throws `conflict` if another write came first.
 */
export async function swapItem(
  store: ObjectStore,
  key: ObjectKey,
  state: ItemState,
  expected: Etag | null | undefined,
  durability: Durability = "synced",
): Promise<ItemVersion> {
  const body = Buffer.from(`${JSON.stringify(state, null, 1)}\n`);
  for (let attempt = 1; ; attempt++) {
    try {
      return { state, etag: await store.put(key, body, { ifMatch: expected, durability }) };
    } catch (error) {
      if (!isKind(error, "transient", "conflict")) throw error;
      const current = await getIfPresent(store, key);
      if (current !== undefined && body.equals(current.body)) {
        return { state, etag: current.etag };
      }
      const untouched = (current?.etag ?? null) === (expected ?? null);
      if (isKind(error, "conflict") || !untouched || attempt >= SWAP_TRIES) throw error;
    }
  }
}

function parseItem(key: ObjectKey, body: Uint8Array): ItemState {
  try {
    const value: unknown = JSON.parse(Buffer.from(body).toString("utf8"));
    assertKnownVersion(value, "an item's state", key);
    return ItemState.parse(value);
  } catch (cause) {
    if (cause instanceof ClipscribeError) throw cause;
    throw new ClipscribeError("contract", "an item's state can't be read", {
      details: { key },
      hint: "restore it from a copy, or delete it and submit the file again",
      cause,
    });
  }
}

/** The ticket that an item, named `user/job/item`, is worked on for; undefined where there is none. */
export async function ticketOfItem(
  store: ObjectStore,
  keys: UserKeys,
  name: string,
): Promise<{ key: ObjectKey; address: TicketAddress } | undefined> {
  const [, job, item] = name.split("/");
  const ids = [JobId.safeParse(job), ItemId.safeParse(item)] as const;
  if (!ids[0].success || !ids[1].success) return undefined;
  const found = await readItem(store, keys.item(ids[0].data, ids[1].data));
  if (found?.state.input == null) return undefined;
  const { input, run } = found.state;
  const key = keys.ticket(input.lane, input.job_id, input.item_id, run);
  const address = parseTicketKey(key);
  return address && { key, address };
}
