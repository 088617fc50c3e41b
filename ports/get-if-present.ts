/** Reads an object that may not be there. */
import { isKind } from "../core/errors.ts";
import type { ObjectKey } from "../core/keys.ts";
import type { GetOptions, ObjectStore, StoredObject } from "./object-store.ts";

/**
 * Like `get`, but `undefined` where there is no such key, or where it is still what `ifNoneMatch`
 * says; all other trouble is thrown.
 */
export async function getIfPresent(
  store: ObjectStore,
  key: ObjectKey,
  options: GetOptions = {},
): Promise<StoredObject | undefined> {
  try {
    return await store.get(key, options);
  } catch (error) {
    if (isKind(error, "missing")) return undefined;
    throw error;
  }
}
