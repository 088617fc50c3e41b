/**
 * Runs a runner until certain items have ended, whoever worked on them: this process, or another
 * one on this machine.
 */
import { asClipscribeError, fromErrorRecord, isDiskFull, toErrorRecord } from "../core/errors.ts";
import type { ErrorRecord } from "../core/errors.ts";
import { hasEnded } from "../core/item-state.ts";
import { keysOf, parseTicketKey } from "../core/keys.ts";
import type { ObjectKey, TicketAddress } from "../core/keys.ts";
import type { CheckedPipeline } from "../core/pipeline.ts";
import type { ItemState } from "../core/records.ts";
import { fixedPipeline } from "../ports/pipelines.ts";
import { readItem } from "../runner/item-record.ts";
import { openRunner } from "../runner/runner.ts";
import type { Runner } from "../runner/runner.ts";
import type { RunnerEvent } from "../runner/runner-events.ts";
import type { Machine } from "./compose.ts";

/** How often items that others may work on are looked at. */
const LOOK_MS = 1_000;
const MAX_LOOKS = 200;
/** A runner that is taken for dead starts anew under a new id, so often at most. */
const MAX_RUNNERS = 5;

export interface AwaitOptions {
  machine: Machine;
  pipeline: CheckedPipeline;
  user: TicketAddress["user"];
  sweepPrefix: string;
  tickets: readonly ObjectKey[];
  onEvent: (event: RunnerEvent) => void;
  /** Called once an item has ended, or can't be ended now. */
  onEnd: (item: string, end: ItemState | ErrorRecord) => Promise<void>;
  /** Aborts: what is under way is given back. */
  signal: AbortSignal;
}

export async function awaitItems(options: AwaitOptions): Promise<void> {
  const open = new Map<string, TicketAddress>();
  for (const ticket of options.tickets) {
    const address = parseTicketKey(ticket);
    if (address !== undefined) open.set(address.item, address);
  }
  for (let attempt = 0; attempt < MAX_RUNNERS && open.size > 0; attempt++) {
    if (options.signal.aborted) return;
    const isOver = await runUntilEnded(options, open);
    if (isOver) return;
  }
}

/** Returns false where the runner was lost and another should go on. */
async function runUntilEnded(
  options: AwaitOptions,
  open: Map<string, TicketAddress>,
): Promise<boolean> {
  const { machine, pipeline, user, signal } = options;
  const ends: Promise<void>[] = [];
  const settled = Promise.withResolvers<boolean>();
  const keys = keysOf(user);
  const jobs = new Set([...open.values()].map(({ job }) => job));

  const end = (item: string, how: ItemState | ErrorRecord): void => {
    if (!open.delete(item)) return;
    ends.push(options.onEnd(item, how));
    if (open.size === 0) settled.resolve(true);
  };
  const readEnd = async (address: TicketAddress): Promise<void> => {
    const found = await readItem(machine.store, keys.item(address.job, address.item));
    if (found !== undefined && found.state.run >= address.run && hasEnded(found.state)) {
      end(address.item, found.state);
    }
  };
  const world = machine.openWorld(fixedPipeline(pipeline), (event) => {
    options.onEvent(event);
    if (
      (event.type === "stage-retry" || event.type === "item-troubled") &&
      isDiskFull(event.error)
    ) {
      // Nobody waits for half a minute and again for somebody who sits in front of it.
      return settled.reject(fromErrorRecord(event.error));
    }
    const address = open.get(event.item_id);
    if (address === undefined || !jobs.has(address.job)) return;
    if (event.type === "item-troubled") end(event.item_id, event.error);
    if (event.type === "item-ended") {
      readEnd(address).catch((error: unknown) => end(event.item_id, toErrorRecord(error)));
    }
  });
  const runner = await openRunner(world, {
    sweepPrefix: options.sweepPrefix,
    accepts: ({ job }) => jobs.has(job),
  });
  const onAbort = (): void => settled.resolve(true);
  signal.addEventListener("abort", onAbort, { once: true });
  runner.lost.addEventListener("abort", () => settled.resolve(false), { once: true });
  const looking = setInterval(() => void lookAtOthers(runner, open, readEnd), LOOK_MS);
  try {
    for (const address of open.values()) {
      runner.hint(keys.ticket(address.lane, address.job, address.item, address.run));
    }
    if (open.size === 0 || signal.aborted) settled.resolve(true);
    return await settled.promise;
  } catch (error) {
    throw asClipscribeError(error);
  } finally {
    clearInterval(looking);
    signal.removeEventListener("abort", onAbort);
    await runner[Symbol.asyncDispose]();
    await Promise.all(ends);
  }
}

async function lookAtOthers(
  runner: Runner,
  open: ReadonlyMap<string, TicketAddress>,
  readEnd: (address: TicketAddress) => Promise<void>,
): Promise<void> {
  const others = [...open.values()].filter((address) => !runner.concerns(address));
  for (const address of others.slice(0, MAX_LOOKS)) await readEnd(address).catch(() => undefined);
}
