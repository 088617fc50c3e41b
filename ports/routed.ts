/** One store of several: keys under some prefixes are others'. For credentials that differ by prefix. */
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

export function routed(
  store: ObjectStore,
  others: Readonly<Record<string, ObjectStore>>,
): ObjectStore {
  const routes = Object.entries(others);
  const wrapped: Record<string, unknown> = {
    minWriteIntervalMs: store.minWriteIntervalMs,
    etags: store.etags,
    partDigest: store.partDigest,
  };
  for (const method of METHODS) {
    wrapped[method] = (key: string, ...rest: unknown[]): unknown => {
      const at = routes.find(([prefix]) => key.startsWith(prefix))?.[1] ?? store;
      return (at[method] as (...args: unknown[]) => unknown)(key, ...rest);
    };
  }
  return wrapped as unknown as ObjectStore;
}
