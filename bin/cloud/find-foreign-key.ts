/**
 * Whether a bucket holds what is not ClipScribe's. Rooms are skipped by their names, so a large
 * bucket of ours takes a dozen listings. What our lifecycle rules would remove is looked at more
 * closely before they are made: somebody's `sources/` may be meant otherwise.
 */
import { BUCKET_ROOMS, expiringPrefixes } from "../../core/account-wanted.ts";
import type { WantedAccount } from "../../core/account-wanted.ts";
import type { FoundAccount } from "../../core/account-plan.ts";
import type { ObjectStore } from "../../ports/object-store.ts";

/** Greater than any key of a room, and a key itself. */
const LAST = "\u{10ffff}";
/** Two pages of a room: one that is somebody else's shows it soon. */
const MAX_LOOKS = 2_000;

/** Shapes of keys that expire: docs/formats.md. */
const SHAPES: Record<string, RegExp> = {
  "sources/": /^sources\/[a-z0-9-]+\/[0-9a-f]{64}\.[a-z0-9]{1,8}$/,
  "blobs/": /^blobs\/[a-z0-9-]+\/[0-9a-f]{64}$/,
  "drops/": /^drops\/(?:[a-z0-9-]+|_check)\/./,
};

export async function findForeignKey(
  store: ObjectStore,
  wanted: WantedAccount,
  bucket: NonNullable<FoundAccount["bucket"]>,
): Promise<string | null> {
  // A key that no part of ClipScribe can have made, as `a//b`.
  let unusable: string | undefined;
  const onUnusable = (key: string): void => void (unusable ??= key);
  const found = await look(store, wanted, bucket, onUnusable);
  return found ?? unusable ?? null;
}

type OnUnusable = (key: string) => void;

async function look(
  store: ObjectStore,
  wanted: WantedAccount,
  bucket: NonNullable<FoundAccount["bucket"]>,
  onUnusable: OnUnusable,
): Promise<string | null> {
  const outside = await findOutside(store, onUnusable);
  if (outside !== null) return outside;
  const set = new Set(bucket.lifecycle.map(({ id }) => id));
  if (wanted.lifecycle.every(({ id }) => set.has(id))) return null;
  for (const prefix of expiringPrefixes(wanted)) {
    let looks = 0;
    for await (const { key } of store.list(prefix, { onUnusable })) {
      if (SHAPES[prefix]?.test(key) === false) return key;
      if (++looks >= MAX_LOOKS) break;
    }
  }
  return null;
}

/** The first key in no room, going from room to room. */
async function findOutside(store: ObjectStore, onUnusable: OnUnusable): Promise<string | null> {
  let startAfter: string | undefined;
  for (let step = 0; step <= BUCKET_ROOMS.length; step++) {
    const first = await firstKey(store, onUnusable, startAfter);
    if (first === undefined) return null;
    const room = BUCKET_ROOMS.find((each) => first.startsWith(each));
    if (room === undefined) return first;
    startAfter = `${room}${LAST}`;
  }
  return null;
}

async function firstKey(
  store: ObjectStore,
  onUnusable: OnUnusable,
  startAfter?: string,
): Promise<string | undefined> {
  const options = { onUnusable, ...(startAfter !== undefined && { startAfter }) };
  for await (const { key } of store.list("", options)) return key;
  return undefined;
}
