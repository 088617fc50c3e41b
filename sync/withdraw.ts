/** Takes back an object that is not what was sent: under its name nobody may find other bytes. */
import { ClipscribeError, isKind } from "../core/errors.ts";
import type { ObjectKey } from "../core/keys.ts";
import type { Etag, ObjectStore } from "../ports/object-store.ts";

/** Returns the error to throw. */
export async function withdraw(
  store: ObjectStore,
  key: ObjectKey,
  etag: Etag,
): Promise<ClipscribeError> {
  try {
    await store.delete(key, { ifMatch: etag });
  } catch (error) {
    if (!isKind(error, "conflict")) throw error;
  }
  return new ClipscribeError("transient", "the bucket did not store what was sent", {
    details: { key },
    hint: "it is sent again; if this comes back, something on the way changes data",
  });
}
