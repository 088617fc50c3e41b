/** What became of an item, and its files in the results folder. */
import { toErrorRecord } from "../core/errors.ts";
import type { ErrorRecord } from "../core/errors.ts";
import type { ItemState, ItemStatus } from "../core/records.ts";
import type { ResultsFetcher } from "./results-fetcher.ts";

export interface ItemResult {
  item_id: string;
  status: ItemStatus;
  path: string | null;
  cost_usd: number;
  /** What it was estimated to cost before its first paid call; null where it paid for nothing. */
  estimate_usd: number | null;
  stages: { id: string; state: string; why: string }[];
  error: ErrorRecord | null;
}

/** Takes what is published for an item into the results folder; trouble becomes part of the result. */
export async function collectResult(
  { fetcher, note }: { fetcher: ResultsFetcher; note: (text: string) => void },
  item: string,
  end: ItemState | ErrorRecord,
): Promise<ItemResult> {
  if ("kind" in end) {
    return {
      item_id: item,
      status: "failed",
      path: null,
      cost_usd: 0,
      estimate_usd: null,
      stages: [],
      error: end,
    };
  }
  const result: ItemResult = {
    item_id: item,
    status: end.status,
    path: null,
    cost_usd: end.cost,
    estimate_usd: end.estimate_usd,
    stages: Object.entries(end.stages).map(([id, { state, why }]) => ({ id, state, why })),
    error: end.error,
  };
  if (end.manifest === null) return result;
  try {
    const { folder, keptAs } = await fetcher.fetch(end);
    if (keptAs !== null) note(`you had changed the results of ${item}: they are kept as ${keptAs}`);
    return { ...result, path: folder };
  } catch (error) {
    // The store has them: the next run brings them.
    return { ...result, status: "failed", error: toErrorRecord(error) };
  }
}
