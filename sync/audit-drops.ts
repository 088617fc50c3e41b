/** Bare drops in an audit: one that is a job by now is counted as its item, any other here. */
import { isMediaDrop, nameDrop } from "../core/bare-drop.ts";
import type { JobId, UserId } from "../core/ids.ts";
import { keysOf } from "../core/keys.ts";
import { safeLine } from "../core/safe-text.ts";
import type { ObjectStore } from "../ports/object-store.ts";

export interface DropCounts {
  /** No runner has made a job of it yet. */
  waiting: number;
  /** Media whose names can't be used, one line each. */
  rejected: string[];
  /** Other files under `drops/`: nobody meant them. */
  ignored: number;
}

export async function countDrops(
  store: ObjectStore,
  user: UserId,
  { accept, jobs }: { accept: readonly string[]; jobs: ReadonlySet<JobId> },
): Promise<DropCounts> {
  const counts: DropCounts = { waiting: 0, rejected: [], ignored: 0 };
  const onUnusable = (key: string): void => {
    if (isMediaDrop(key, accept)) counts.rejected.push(safeLine(key, 200));
    else counts.ignored++;
  };
  for await (const drop of store.list(keysOf(user).drops(), { onUnusable })) {
    if (!isMediaDrop(drop.key, accept)) counts.ignored++;
    else if (!jobs.has(nameDrop(drop).job)) {
      // A listing's time may be finer than what runners go by.
      const exact = await store.head(drop.key);
      if (exact !== undefined && !jobs.has(nameDrop(exact).job)) counts.waiting++;
    }
  }
  return counts;
}
