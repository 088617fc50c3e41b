/** One store of two: keys under a prefix are the other's. For credentials that differ by prefix. */
import type { ObjectStore } from "./object-store.ts";

/** By their first argument: a key, or a listing's prefix. A copy is its source's. */
const METHODS = [
  "get",
  "getStream",
  "put",
  "putStream",
  "createUpload",
  "putPart",
  "listParts",
  "completeUpload",
  "abortUpload",
  "head",
  "list",
  "copy",
  "delete",
  "presign",
] as const satisfies (keyof ObjectStore)[];

export function routed(store: ObjectStore, prefix: string, other: ObjectStore): ObjectStore {
  const wrapped: Record<string, unknown> = {
    minWriteIntervalMs: store.minWriteIntervalMs,
    etags: store.etags,
    partDigest: store.partDigest,
  };
  for (const method of METHODS) {
    wrapped[method] = (key: string, ...rest: unknown[]): unknown => {
      const at = key.startsWith(prefix) ? other : store;
      return (at[method] as (...args: unknown[]) => unknown)(key, ...rest);
    };
  }
  return wrapped as unknown as ObjectStore;
}
