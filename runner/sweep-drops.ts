/** Finds bare drops whose event was lost, or whose runner died before they were a job. */
import { isMediaDrop } from "../core/bare-drop.ts";
import type { UserKeys } from "../core/keys.ts";
import { safeLine } from "../core/safe-text.ts";
import type { Adoptions } from "./adopt-drops.ts";
import type { Liveness } from "./liveness.ts";
import type { RunnerWorld } from "./world.ts";

/** A pass lists so many keys at most: ten pages of R2. */
const MAX_KEYS_A_PASS = 10_000;

export interface DropSweepOptions {
  world: RunnerWorld;
  keys: UserKeys;
  liveness: Liveness;
  adoptions: Adoptions;
  signal: AbortSignal;
}

/** Returns where the next pass goes on; undefined: at the start. */
export async function sweepDrops(
  { world, keys, liveness, adoptions, signal }: DropSweepOptions,
  startAfter: string | undefined,
): Promise<string | undefined> {
  const { accept } = world.pipelines.current();
  const youngest = liveness.storeNow().getTime() - 2 * world.clocks.leaseMs;
  let seen = 0;
  const onUnusable = (key: string): void =>
    world.log.warn("a dropped file has a name that can't be used", { key: safeLine(key, 200) });
  const options = { signal, onUnusable, ...(startAfter !== undefined && { startAfter }) };
  let last = startAfter;
  for await (const drop of world.store.list(keys.drops(), options)) {
    if (seen++ >= MAX_KEYS_A_PASS) return last;
    // Younger ones have their event under way.
    const isDue = drop.modifiedAt.getTime() <= youngest && isMediaDrop(drop.key, accept);
    if (isDue && !adoptions.isSettled(drop) && !adoptions.add(drop.key)) return last;
    last = drop.key;
  }
  return undefined;
}
