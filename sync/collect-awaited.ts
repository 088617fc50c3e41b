/** One pass over what was handed off: what has ended since comes into the results folder. */
import type { DropItem } from "../core/drop-records.ts";
import { asClipscribeError, isKind } from "../core/errors.ts";
import type { ClipscribeError } from "../core/errors.ts";
import type { JobId, UserId } from "../core/ids.ts";
import { hasEnded } from "../core/item-state.ts";
import type { ItemState } from "../core/records.ts";
import type { DropLedger } from "../ports/drop-ledger.ts";
import type { ObjectStore } from "../ports/object-store.ts";
import { fetchResults } from "./fetch-results.ts";
import { readOwnState } from "./item-states.ts";

const AT_ONCE = 8;

export type CollectEvent =
  | { type: "result"; job: JobId; state: ItemState; folder: string | null; keptAs: string | null }
  | { type: "job-files"; job: JobId; files: string[]; keptAs: string[] }
  | { type: "result-troubled"; job: JobId; item: string; error: ClipscribeError };

export interface CollectWorld {
  store: ObjectStore;
  user: UserId;
  ledger: DropLedger;
  resultsDir: string;
  listener: (event: CollectEvent) => void;
  /** Only of these; default: of all. */
  jobs?: ReadonlySet<JobId>;
  signal: AbortSignal;
}

/** @returns how many are still under way. @throws `transient`, `denied` where the store can't be asked. */
export async function collectAwaited(world: CollectWorld): Promise<number> {
  const { jobs } = world;
  const awaited = world.ledger.listAwaited().filter(({ job }) => jobs?.has(job) ?? true);
  let open = awaited.length;
  const queue = awaited.values();
  const worker = async (): Promise<void> => {
    for (const { id, job, item } of queue) {
      if (world.signal.aborted) return;
      if (await collect(world, id, job, item)) open--;
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return open;
}

async function collect(
  { store, user, ledger, resultsDir, listener, signal }: CollectWorld,
  id: number,
  job: JobId,
  item: DropItem,
): Promise<boolean> {
  if (item.item === null) return false;
  const state = await readOwnState(store, user, job, item.item).catch((error: unknown) => {
    if (!isKind(error, "contract")) throw error;
    listener({ type: "result-troubled", job, item: item.name, error });
    ledger.changeItem(id, item.name, { outcome: "failed", fetched: true });
    return undefined;
  });
  const isOver = state !== undefined && (hasEnded(state) || state.status === "held");
  if (!isOver || state.run < (item.run ?? 1)) return false;
  const outcome = state.status as DropItem["outcome"];
  // A person lets it go on; then it has another run, and this is looked at again.
  if (state.status === "held") {
    if (item.outcome !== "held")
      listener({ type: "result", job, state, folder: null, keptAs: null });
    ledger.changeItem(id, item.name, { outcome });
    return false;
  }
  try {
    const fetched =
      state.manifest === null
        ? null
        : await fetchResults(store, user, state, resultsDir, { signal });
    ledger.changeItem(id, item.name, { outcome, run: state.run, fetched: true });
    const keptAs = fetched?.keptAs ?? null;
    listener({ type: "result", job, state, folder: fetched?.folder ?? null, keptAs });
    return true;
  } catch (thrown) {
    const error = asClipscribeError(thrown);
    listener({ type: "result-troubled", job, item: item.item, error });
    // A full disk is nobody's fault for ever; a damaged store says so once and is left to `fetch`.
    if (isKind(error, "transient", "denied")) throw error;
    ledger.changeItem(id, item.name, { outcome, run: state.run, fetched: true });
    return true;
  }
}
