/** Counts a store's operations by class: what an item costs on R2 (class A writes and lists, B reads). */
import type { ObjectStore } from "./object-store.ts";

export interface StoreMeter {
  reads: number;
  writes: number;
  lists: number;
  deletes: number;
}

export function metered<Store extends ObjectStore>(
  store: Store,
): { store: Store; meter: StoreMeter } {
  const meter: StoreMeter = { reads: 0, writes: 0, lists: 0, deletes: 0 };
  const classes: Record<keyof StoreMeter, readonly (keyof ObjectStore)[]> = {
    reads: ["get", "getStream", "head"],
    writes: ["put", "putStream", "copy", "createUpload", "putPart", "completeUpload"],
    lists: ["list", "listParts"],
    deletes: ["delete", "abortUpload"],
  };
  const wrapped: Record<string, unknown> = {};
  for (const [kind, methods] of Object.entries(classes) as [
    keyof StoreMeter,
    (keyof ObjectStore)[],
  ][]) {
    for (const method of methods) {
      const original = store[method] as (...args: unknown[]) => unknown;
      wrapped[method] = (...args: unknown[]): unknown => {
        meter[kind]++;
        return original(...args);
      };
    }
  }
  return { store: { ...store, ...wrapped }, meter };
}
