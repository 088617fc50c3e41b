/** JSON records of the bucket, as whoever submits, approves, replays and audits reads and writes them. */
import { ClipscribeError, isKind } from "../core/errors.ts";
import type { ObjectKey } from "../core/keys.ts";
import { getIfPresent } from "../ports/get-if-present.ts";
import type { Etag, ObjectStore } from "../ports/object-store.ts";

/**
 * Undefined where there is none, or still the one with the etag in `ifNoneMatch`.
 *
 * @throws `contract` for one that can't be read.
 */
export async function readRecord<Value>(
  store: ObjectStore,
  key: ObjectKey,
  schema: { parse(value: unknown): Value },
  options: { ifNoneMatch?: Etag | undefined } = {},
): Promise<{ value: Value; etag: Etag } | undefined> {
  const found = await getIfPresent(store, key, options);
  if (found === undefined) return undefined;
  try {
    const value = schema.parse(JSON.parse(Buffer.from(found.body).toString("utf8")));
    return { value, etag: found.etag };
  } catch (cause) {
    throw new ClipscribeError("contract", "a record can't be read", {
      details: { key },
      hint: "restore it from a copy",
      cause,
    });
  }
}

/** Writes the next version of a record, or the first (`null`). @throws `conflict`. */
export async function putRecord(
  store: ObjectStore,
  key: ObjectKey,
  value: unknown,
  ifMatch: Etag | null,
): Promise<void> {
  await store.put(key, Buffer.from(`${JSON.stringify(value, null, 1)}\n`), { ifMatch });
}

/** Returns false where there is one by now. */
export async function putRecordIfAbsent(
  store: ObjectStore,
  key: ObjectKey,
  value: unknown,
): Promise<boolean> {
  return putBytesIfAbsent(store, key, Buffer.from(`${JSON.stringify(value, null, 1)}\n`));
}

export async function putBytesIfAbsent(
  store: ObjectStore,
  key: ObjectKey,
  body: Uint8Array,
): Promise<boolean> {
  try {
    await store.put(key, body, { ifMatch: null });
    return true;
  } catch (error) {
    if (isKind(error, "conflict")) return false;
    throw error;
  }
}
