/**
 * How a job stands, for people: a row an item. Ended items come from the job's one status record; only
 * what is under way is read item by item, so that looking at a job of thousands stays cheap.
 */
import { isKind } from "../core/errors.ts";
import type { ClipscribeError, ErrorRecord } from "../core/errors.ts";
import type { ItemId, JobId, UserId } from "../core/ids.ts";
import { isOutcome } from "../core/item-state.ts";
import { keysOf } from "../core/keys.ts";
import { JobStatus, Metadata } from "../core/records.ts";
import type { ItemState, ItemStatus, ManifestRef } from "../core/records.ts";
import type { ObjectStore } from "../ports/object-store.ts";
import { readItemStates, readOwnState } from "./item-states.ts";
import { readRecord } from "./stored-records.ts";

/** More items under way than this are counted, not looked at. */
const MAX_STATES = 500;
const STATES_AT_ONCE = 16;

export interface JobItem {
  item_id: ItemId;
  /** The file's name, or the URL. */
  name: string;
  status: ItemStatus;
  run: number;
  stage: string | null;
  /** 0–100. */
  progress: number;
  cost_usd: number;
  error: ErrorRecord | null;
  /** False for a dead link, which nobody can work on again. */
  has_file: boolean;
}

export interface JobReport {
  job_id: JobId;
  /** `finished`: every item has an outcome or is held. Else what people want of it. */
  status: "running" | "paused" | "cancelled" | "finished";
  lane: string;
  submitted_at: string;
  device: string;
  items: JobItem[];
  cost_usd: number;
}

/** Undefined where there is no such job. */
export async function readJob(
  store: ObjectStore,
  user: UserId,
  job: JobId,
): Promise<JobReport | undefined> {
  const keys = keysOf(user);
  const metadata = (await readRecord(store, keys.metadata(job), Metadata))?.value;
  if (metadata === undefined) return undefined;
  const rows = (await readRecord(store, keys.status(job), JobStatus))?.value.rows ?? {};
  // A row may be older than a new run that has begun, so only what ended well is taken from it.
  const isSettled = (item: string): boolean => rows[item]?.status === "complete";
  const open = metadata.items.filter(({ item_id }) => !isSettled(item_id));
  const looked = { job_id: job, items: open.slice(0, MAX_STATES) };
  const states = await readItemStates(store, user, looked);
  const byItem = new Map(states.map((state) => [state.item_id, state]));
  const items = metadata.items.map(({ item_id, source }): JobItem => {
    const name = source.url ?? source.filename;
    const state = byItem.get(item_id);
    const row = rows[item_id];
    if (state !== undefined) return { item_id, name, ...describeState(state) };
    const { status, run, cost } = row ?? { status: "pending" as const, run: 1, cost: 0 };
    const progress = row === undefined ? 0 : 100;
    return {
      item_id,
      name,
      status,
      run,
      stage: null,
      progress,
      cost_usd: cost,
      error: null,
      has_file: true,
    };
  });
  const isOver = items.every(({ status }) => isOutcome(status) || status === "held");
  const { state } = metadata.control;
  return {
    job_id: job,
    status: isOver ? "finished" : state === "run" ? "running" : state,
    lane: metadata.lane,
    submitted_at: metadata.submitted_at,
    device: metadata.device,
    items,
    cost_usd: items.reduce((sum, { cost_usd }) => sum + cost_usd, 0),
  };
}

export interface Published {
  metadata: Metadata;
  states: (ItemState & { manifest: ManifestRef })[];
  /** Items whose state can't be read, or is not theirs. The others are not held up by them. */
  refused: { item_id: ItemId; error: ClipscribeError }[];
}

/** The publish that is in force for each item, and its state. */
export async function readPublished(
  store: ObjectStore,
  user: UserId,
  job: JobId,
): Promise<Published | undefined> {
  const metadata = (await readRecord(store, keysOf(user).metadata(job), Metadata))?.value;
  if (metadata === undefined) return undefined;
  const published: Published = { metadata, states: [], refused: [] };
  const queue = metadata.items.values();
  const worker = async (): Promise<void> => {
    for (const { item_id } of queue) {
      try {
        const state = await readOwnState(store, user, job, item_id);
        if (state?.manifest != null) {
          published.states.push({ ...state, manifest: state.manifest });
        }
      } catch (error) {
        if (!isKind(error, "contract")) throw error;
        published.refused.push({ item_id, error });
      }
    }
  };
  await Promise.all(Array.from({ length: STATES_AT_ONCE }, worker));
  return published;
}

function describeState(state: ItemState): Omit<JobItem, "item_id" | "name"> {
  const { status, run, stage, progress, cost, error, input } = state;
  return { status, run, stage, progress, cost_usd: cost, error, has_file: input !== null };
}

/** `9 complete, 1 failed, 2 queued`: the outcomes first, in words that `status` uses. */
export function countItems(items: readonly { status: ItemStatus }[]): string {
  const order: readonly ItemStatus[] = [
    "complete",
    "partial",
    "failed",
    "held",
    "cancelled",
    "processing",
    "queued",
    "uploading",
    "downloading",
    "pending",
  ];
  const counted = order.flatMap((status) => {
    const count = items.filter((item) => item.status === status).length;
    return count === 0 ? [] : [`${count} ${status}`];
  });
  return counted.join(", ");
}
