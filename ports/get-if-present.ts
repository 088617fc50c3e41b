/** Reads an object that may not be there. */
import { isKind } from "../core/errors.ts";
import type { ObjectKey } from "../core/keys.ts";
import type { ObjectStore, RequestOptions, StoredObject } from "./object-store.ts";

/** Like `get`, but `undefined` where there is no such key; all other trouble is thrown. */
export async function getIfPresent(
  store: ObjectStore,
  key: ObjectKey,
  options: RequestOptions = {},
): Promise<StoredObject | undefined> {
  try {
    return await store.get(key, { signal: options.signal });
  } catch (error) {
    if (isKind(error, "missing")) return undefined;
    throw error;
  }
}
