/** A list of checks that goes on where one fails: each says what it saw, or what to do. */
import { asClipscribeError } from "../../core/errors.ts";

/**
 * `skipped`: could not be looked at with these rights or settings. `unclear`: looked at, and somebody
 * else was in the way. Neither is a failure.
 */
export type CheckState = "ok" | "failed" | "skipped" | "unclear";

export interface CheckResult {
  id: string;
  state: CheckState;
  say: string;
  hint: string | null;
}

export interface Checks {
  results: CheckResult[];
  /** What Cloudflare does not document: docs/verify-on-a-real-account.md. */
  facts: Record<string, unknown>;
  /** `work` returns what it saw. What it throws is a failure, or what `Unsure` says. */
  run(id: string, work: () => Promise<string>): Promise<boolean>;
}

/** Thrown by a check that is no failure. */
export class Unsure extends Error {
  readonly state: "skipped" | "unclear";
  readonly hint: string;

  constructor(state: "skipped" | "unclear", message: string, hint: string) {
    super(message);
    this.state = state;
    this.hint = hint;
  }
}

export function createChecks(tell: (result: CheckResult) => void): Checks {
  const results: CheckResult[] = [];
  const add = (result: CheckResult): boolean => {
    results.push(result);
    tell(result);
    return result.state === "ok";
  };
  return {
    results,
    facts: {},
    async run(id, work) {
      try {
        return add({ id, state: "ok", say: await work(), hint: null });
      } catch (thrown) {
        if (thrown instanceof Unsure) {
          return add({ id, state: thrown.state, say: thrown.message, hint: thrown.hint });
        }
        const error = asClipscribeError(thrown);
        return add({ id, state: "failed", say: error.message, hint: error.hint ?? null });
      }
    },
  };
}
