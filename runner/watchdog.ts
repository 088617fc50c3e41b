/**
 * Watches progress, not the process: a runner can be up, beat its heart, and get nothing done. Either
 * it has tickets in hand and nothing moves, longer than its longest stage may take; or it has none,
 * tickets wait, and neither queue nor sweep tells it of a single one. Then a supervisor's restart
 * is the cure, so it says so and ends.
 */
import { ClipscribeError } from "../core/errors.ts";
import type { UserKeys } from "../core/keys.ts";
import type { RunnerWorld } from "./world.ts";

/** Looks at the own progress so often in the time that it may stand still. */
const LOOKS_A_STALL = 4;

export interface WatchdogOptions {
  world: RunnerWorld;
  keys: UserKeys;
  /** True while it has a ticket in hand. */
  isBusy: () => boolean;
  /** The longest that a stage under way may take. */
  longestStageMs: () => number;
  stopping: AbortSignal;
}

export interface Watchdog {
  /** `heard` of a ticket, or one `moved`: it was handled, a stage began, reported or ended. */
  note(what: "heard" | "moved"): void;
  /** Aborts, with the reason, when this process gets nothing done. */
  readonly stalled: AbortSignal;
  /** Resolves once it is told to stop. */
  watch(): Promise<void>;
}

export function openWatchdog(options: WatchdogOptions): Watchdog {
  const { world, keys, isBusy, longestStageMs, stopping } = options;
  const { clock } = world;
  const { stallMs, leaseMs, sweepMs } = world.clocks;
  /** The sweep looks at a ticket once it is two leases old. */
  const unheardLimitMs = stallMs + 2 * (leaseMs + sweepMs);
  const stalled = new AbortController();
  let movedMs = clock.monotonicMs();
  /** Since when tickets wait of which this runner, with nothing in hand, has not heard. */
  let unheardMs: number | undefined;

  function giveUp(what: string, sinceMs: number): void {
    const silent_s = Math.round((clock.monotonicMs() - sinceMs) / 1000);
    stalled.abort(
      new ClipscribeError("bug", "this runner gets nothing done", {
        details: { what, silent_s },
        hint: "it ends, so that its supervisor starts it anew; others take over what it had",
      }),
    );
  }

  async function look(): Promise<void> {
    const nowMs = clock.monotonicMs();
    if (isBusy()) {
      unheardMs = undefined;
      const isLate = nowMs - movedMs > stallMs + longestStageMs();
      if (isLate) giveUp("what it has in hand does not move", movedMs);
      return;
    }
    // The store's own trouble is not this process's: who can't look says nothing.
    if (!(await isAnyWaiting().catch(() => false))) unheardMs = undefined;
    else if (unheardMs === undefined) unheardMs = nowMs;
    else if (nowMs - unheardMs > unheardLimitMs)
      giveUp("tickets wait, and it hears of none", unheardMs);
  }

  async function isAnyWaiting(): Promise<boolean> {
    for (const lane of ["urgent", "batch"] as const) {
      for await (const _ of world.store.list(keys.inbox(lane), { signal: stopping })) return true;
    }
    return false;
  }

  return {
    note(what) {
      unheardMs = undefined;
      if (what === "moved") movedMs = clock.monotonicMs();
    },
    stalled: stalled.signal,
    async watch() {
      while (!stopping.aborted && !stalled.signal.aborted) {
        await clock.sleep(stallMs / LOOKS_A_STALL, stopping).catch(() => undefined);
        if (!stopping.aborted) await look();
      }
    },
  };
}
