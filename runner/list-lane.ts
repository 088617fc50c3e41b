/**
 * A lane without a queue: its tickets are listed every few seconds. What is new is looked at once; what
 * becomes of it, and what others let fall, is the sweep's to find, as with a queue.
 */
import { asClipscribeError } from "../core/errors.ts";
import type { Lane } from "../core/ids.ts";
import { parseTicketKey } from "../core/keys.ts";
import type { TicketAddress, UserKeys } from "../core/keys.ts";
import type { Dispatch } from "./dispatch.ts";
import type { Liveness } from "./liveness.ts";
import type { FleetPlace } from "./pools.ts";
import type { RunnerWorld } from "./world.ts";

/** A look reads so many keys at most: ten pages of R2. Those in front are the oldest, and go first. */
const MAX_KEYS_A_LOOK = 10_000;
/** A lane where nothing is new is looked at half as often: an idle month fits R2's free tier. */
const QUIET = 2;

export interface ListOptions {
  world: RunnerWorld;
  keys: UserKeys;
  dispatch: Dispatch;
  liveness: Pick<Liveness, "place">;
  accepts: (address: TicketAddress) => boolean;
  stopping: AbortSignal;
}

/** Resolves once it is told to stop. */
export async function listLane(options: ListOptions, lane: Lane): Promise<void> {
  const { world, dispatch, stopping } = options;
  let heard: ReadonlySet<string> = new Set();
  /** Said once for as long as it is so. */
  let isTroubled = false;
  while (!stopping.aborted) {
    if (dispatch.room(lane) === 0) {
      await dispatch.waitForChange();
      continue;
    }
    let waitMs = world.clocks.pollMs * QUIET;
    try {
      const look = await lookOnce(options, lane, heard);
      heard = look.heard;
      if (look.isNew) waitMs = world.clocks.pollMs;
      isTroubled = false;
    } catch (error) {
      if (stopping.aborted) return;
      if (!isTroubled) {
        world.log.warn("the tickets of a lane could not be listed", {
          lane,
          error: asClipscribeError(error).message,
        });
      }
      isTroubled = true;
    }
    await world.clock.sleep(waitMs, stopping).catch(() => undefined);
  }
}

async function lookOnce(
  { world, keys, dispatch, liveness, accepts, stopping }: ListOptions,
  lane: Lane,
  heard: ReadonlySet<string>,
): Promise<{ heard: Set<string>; isNew: boolean }> {
  const there = new Set<string>();
  const found: { key: string; address: TicketAddress }[] = [];
  const ignore = { onUnusable: () => undefined, signal: stopping };
  for await (const { key } of world.store.list(keys.inbox(lane), ignore)) {
    if (there.size >= MAX_KEYS_A_LOOK) break;
    there.add(key);
    const address = heard.has(key) ? undefined : parseTicketKey(key);
    if (address !== undefined && accepts(address)) found.push({ key, address });
  }
  for (const { key, address } of ownShareFirst(found, liveness.place())) {
    if (dispatch.hasRoomToWait(lane)) dispatch.add(key, address);
    // It is as if it had not been there: the next look finds it.
    else there.delete(key);
  }
  dispatch.pump();
  return { heard: there, isNew: found.length > 0 };
}

/** All runners see the same list: each begins with other tickets, and few are claimed in vain. */
function ownShareFirst<Ticket>(
  tickets: readonly Ticket[],
  place: FleetPlace | undefined,
): Ticket[] {
  const { size, rank } = place ?? { size: 1, rank: 0 };
  const isOwn = (at: number): boolean => at % size === rank % size;
  return [...tickets.filter((_, at) => isOwn(at)), ...tickets.filter((_, at) => !isOwn(at))];
}
