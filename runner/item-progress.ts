/**
 * Carries what happens to an item's stages into its state. Writes are merged: at most one a second,
 * and none at all for an item that is done sooner. A write that finds another owner ends the claim.
 */
import { ClipscribeError, isKind } from "../core/errors.ts";
import { recordProgress } from "../core/item-state.ts";
import type { ObjectKey } from "../core/keys.ts";
import type { ItemState, StageRecord } from "../core/records.ts";
import { ClaimLost } from "./interruptions.ts";
import { readItem, swapItem } from "./item-record.ts";
import type { ItemVersion } from "./item-record.ts";
import type { RunnerWorld } from "./world.ts";

/** Well below R2's limit of one write a second and key, together with claim and publish. */
const MIN_WRITE_INTERVAL_MS = 1_000;
/** One for all: an abort without a reason makes an exception of its own each time. */
const SETTLED = new ClipscribeError("cancelled", "the item's state is settled");

export interface ItemProgress {
  onStage(id: string, record: StageRecord, ended: boolean): void;
  /** A call was paid for: its price belongs into the item's record. */
  onPaid(): void;
  readonly stages: Readonly<Record<string, StageRecord>>;
  /** Ends the writing, and returns the item as it is in the store now. */
  settle(): Promise<ItemVersion>;
}

export interface ProgressOptions {
  world: RunnerWorld;
  key: ObjectKey;
  claimed: ItemVersion;
  stageCount: number;
  spentUsd: () => number;
  abort: (reason: unknown) => void;
}

export function openItemProgress(options: ProgressOptions): ItemProgress {
  const { world, claimed } = options;
  const stages: Record<string, StageRecord> = { ...claimed.state.stages };
  const by = { owner: world.runner, epoch: claimed.state.epoch };
  // A claim after a crash shows at once that it ends stages: five that don't fail the item.
  let isUrgent = claimed.state.attempts > 1;
  let current = claimed;
  let wasFruitful = false;
  let running: string | null = null;
  let isDirty = false;
  let lastWriteMs = world.clock.monotonicMs();
  let writing: Promise<void> | undefined;
  const stop = new AbortController();

  const next = (state: ItemState): ItemState => {
    const ended = Object.values(stages).filter(({ ended_at }) => ended_at !== null).length;
    const progress = Math.min(99, (100 * ended) / Math.max(1, options.stageCount));
    const change = { stages, stage: running, progress, cost: options.spentUsd(), wasFruitful };
    return recordProgress(state, { ...by, now: world.clock.now() }, change);
  };

  async function write(): Promise<void> {
    const waitMs = isUrgent ? 0 : lastWriteMs + MIN_WRITE_INTERVAL_MS - world.clock.monotonicMs();
    if (waitMs > 0) await world.clock.sleep(waitMs, stop.signal);
    isUrgent = false;
    isDirty = false;
    lastWriteMs = world.clock.monotonicMs();
    current = await writeOwned(world, options.key, current, next);
  }

  function schedule(): void {
    isDirty = true;
    if (writing !== undefined || stop.signal.aborted) return;
    writing = write()
      .catch((error: unknown) => {
        if (isKind(error, "conflict")) options.abort(new ClaimLost(error));
        else if (!stop.signal.aborted) world.log.warn("progress could not be written", { error });
      })
      .finally(() => {
        writing = undefined;
        if (isDirty && !stop.signal.aborted) schedule();
      });
  }

  return {
    stages,
    onStage(id, record, ended) {
      stages[id] = record;
      wasFruitful ||= ended;
      running = record.state === "running" ? id : running === id ? null : running;
      schedule();
    },
    onPaid() {
      wasFruitful = true;
      schedule();
    },
    async settle() {
      stop.abort(SETTLED);
      await writing;
      return current;
    },
  };
}

/**
 * Writes the next state under the claim's epoch. Where the write finds another version, the item is
 * read once: it may be this claim's own, by an answer that was lost.
 *
 * @throws `conflict` where another runner has the item.
 */
export async function writeOwned(
  world: RunnerWorld,
  key: ObjectKey,
  current: ItemVersion,
  next: (state: ItemState) => ItemState,
): Promise<ItemVersion> {
  const expected = world.defences.epochCheck ? current.etag : undefined;
  try {
    return await swapItem(world.store, key, next(current.state), expected);
  } catch (error) {
    if (!isKind(error, "conflict")) throw error;
    const found = await readItem(world.store, key);
    if (found === undefined) throw error;
    return swapItem(world.store, key, next(found.state), found.etag);
  }
}
