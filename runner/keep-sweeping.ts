/** Looks at all tickets and bare drops again and again, and at once where a runner has died. */
import { asClipscribeError } from "../core/errors.ts";
import type { TicketAddress, UserKeys } from "../core/keys.ts";
import type { Adoptions } from "./adopt-drops.ts";
import type { Dispatch } from "./dispatch.ts";
import { ticketOfItem } from "./item-record.ts";
import type { Liveness } from "./liveness.ts";
import { sweepDrops } from "./sweep-drops.ts";
import { sweepOnce } from "./sweep.ts";
import type { RunnerWorld } from "./world.ts";

export interface SweepingOptions {
  world: RunnerWorld;
  keys: UserKeys;
  dispatch: Dispatch;
  /** Null: drops are another runner's. */
  adoptions: Adoptions | null;
  /** Null: all of `inbox/`, by the cursor that all runners share. */
  prefix: string | null;
  accepts: (address: TicketAddress) => boolean;
  stopping: AbortSignal;
}

export interface Sweeping {
  /** Resolves once it is told to stop, or at the first pass after nothing more is taken on. */
  keepSweeping(liveness: Liveness): Promise<void>;
  /** A runner has died: its items need not wait to be swept, nor to be older. */
  takeOver(liveness: Liveness, items: readonly string[]): Promise<void>;
}

export function openSweeping(options: SweepingOptions): Sweeping {
  const { world, keys, dispatch, adoptions, accepts, stopping: signal } = options;

  const look = (key: string, address: TicketAddress): boolean => {
    if (address.user !== world.user || !accepts(address)) return true;
    dispatch.add(key, address);
    return dispatch.hasRoomToWait(address.lane);
  };

  async function sweep(
    liveness: Liveness,
    prefix: string | null,
    minAgeMs?: number,
  ): Promise<void> {
    const age = minAgeMs === undefined ? {} : { minAgeMs };
    await unlessStopped("a sweep failed", async () =>
      sweepOnce({ world, liveness, prefix, look, signal, ...age }),
    );
    dispatch.pump();
  }

  async function unlessStopped(what: string, work: () => Promise<unknown>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (signal.aborted) return;
      world.log.warn(what, { error: asClipscribeError(error).message });
    }
  }

  return {
    async keepSweeping(liveness) {
      let dropsFrom: string | undefined;
      while (!signal.aborted) {
        await world.clock.sleep(world.clocks.sweepMs, signal).catch(() => undefined);
        // Who takes nothing more on would move the cursor past what it finds.
        if (signal.aborted || dispatch.isRetiring || !world.defences.sweep) return;
        await sweep(liveness, options.prefix);
        if (adoptions === null) continue;
        await unlessStopped("the dropped files could not be listed", async () => {
          dropsFrom = await sweepDrops({ world, keys, liveness, adoptions, signal }, dropsFrom);
        });
      }
    },
    async takeOver(liveness, items) {
      for (const name of items) {
        const ticket = await ticketOfItem(world.store, keys, name).catch(() => undefined);
        if (ticket !== undefined && accepts(ticket.address)) {
          dispatch.add(ticket.key, ticket.address);
        }
      }
      dispatch.pump();
      // What it took on after its last beat is in no list of its.
      await sweep(liveness, options.prefix ?? "inbox/", 0);
    },
  };
}
