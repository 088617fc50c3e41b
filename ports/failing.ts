/** Makes the n-th operation of a store fail, to walk through every place where it can. */
import { ClipscribeError } from "../core/errors.ts";
import type { ObjectStore } from "./object-store.ts";

export interface FailurePlan {
  /** Which operation, from 1, counted over all methods. */
  at: number;
  /**
   * `error`: it is not applied. `lost-answer`: it is applied, then seems to have failed. `before`
   * and `after`: `onFailure` is called there (and ends the process), then it goes on.
   */
  mode: "error" | "lost-answer" | "before" | "after";
  onFailure?: () => void;
  /** Hears of every operation, for counting and for tables. */
  onOperation?: (method: string, key: string) => void;
}

const METHODS = [
  "get",
  "getStream",
  "put",
  "putStream",
  "head",
  "copy",
  "delete",
  "createUpload",
  "putPart",
  "listParts",
  "completeUpload",
] as const;

export function failing<Store extends ObjectStore>(store: Store, plan: FailurePlan): Store {
  let count = 0;
  const wrapped: Record<string, unknown> = {};
  for (const method of METHODS) {
    const original = store[method] as (...args: unknown[]) => Promise<unknown>;
    wrapped[method] = async (...args: unknown[]): Promise<unknown> => {
      count++;
      plan.onOperation?.(method, String(args[0]));
      if (count !== plan.at) return original(...args);
      if (plan.mode === "error") throw failure(method);
      if (plan.mode === "before") plan.onFailure?.();
      const value = await original(...args);
      if (plan.mode === "after") plan.onFailure?.();
      if (plan.mode === "lost-answer") throw failure(method);
      return value;
    };
  }
  return { ...store, ...wrapped };
}

function failure(method: string): ClipscribeError {
  return new ClipscribeError("transient", `the store did not answer: ${method}`, {
    hint: "run again",
  });
}
