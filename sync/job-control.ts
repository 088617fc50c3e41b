/**
 * What people want of a job. `control` in its metadata says it to the runners, which read it at the
 * claim, with each beat and before each paid call; and whoever is to go on gets the ticket of its
 * next run. Both can be done twice, and by two people at once.
 */
import { ClipscribeError, isKind } from "../core/errors.ts";
import { Lane } from "../core/ids.ts";
import type { ItemId, JobId, UserId } from "../core/ids.ts";
import { isOutcome } from "../core/item-state.ts";
import { keysOf } from "../core/keys.ts";
import type { ObjectKey } from "../core/keys.ts";
import { JobStatus, Metadata } from "../core/records.ts";
import type { ItemState, Ticket } from "../core/records.ts";
import type { Clock } from "../ports/clock.ts";
import type { ObjectStore } from "../ports/object-store.ts";
import { readItemStates } from "./item-states.ts";
import { putRecordIfAbsent, readRecord } from "./stored-records.ts";

/** Writers of one job's record: each loses to another once or twice, not more often. */
const MAX_RACES = 10;
const WRITES_AT_ONCE = 16;

export type ControlState = Metadata["control"]["state"];

export interface ControlChange {
  metadata: Metadata;
  before: ControlState;
}

/** @throws `missing` where there is no such job. */
export async function setControl(
  store: ObjectStore,
  user: UserId,
  job: JobId,
  state: ControlState,
): Promise<ControlChange> {
  const key = keysOf(user).metadata(job);
  for (let race = 1; ; race++) {
    const found = await readRecord(store, key, Metadata);
    if (found === undefined) {
      throw new ClipscribeError("missing", "there is no such job", {
        details: { job },
        hint: "`clipscribe batch list` names the latest ones",
      });
    }
    const { value, etag } = found;
    const before = value.control.state;
    if (before === state) return { metadata: value, before };
    const metadata: Metadata = { ...value, control: { ...value.control, state } };
    try {
      await store.put(key, Buffer.from(JSON.stringify(metadata)), { ifMatch: etag });
      return { metadata, before };
    } catch (error) {
      if (!isKind(error, "conflict") || race >= MAX_RACES) throw error;
    }
  }
}

/** True once every item has an outcome and no ticket waits: what is then wanted of the job concerns nobody. */
export async function isOver(store: ObjectStore, user: UserId, job: JobId): Promise<boolean> {
  const keys = keysOf(user);
  const status = (await readRecord(store, keys.status(job), JobStatus))?.value;
  if (status?.status !== "finished") return false;
  if (!Object.values(status.rows).every((row) => isOutcome(row.status))) return false;
  for (const lane of Lane.options) {
    for await (const _ticket of store.list(`${keys.inbox(lane)}${job}/`)) return false;
  }
  return true;
}

export interface Resumed {
  before: ControlState;
  /** Items whose next run waits now. */
  items: { item: ItemId; run: number; ticket: ObjectKey }[];
  /** Held for money: they need an approval. */
  forMoney: ItemId[];
}

/**
 * Lets a job go on: what was paused, held for anything but money, or cancelled.
 *
 * The order counts. A runner that holds an item because of a pause reads `control` once more after it
 * has written so; whichever of the two comes second sees the other, and writes the same ticket.
 */
export async function resumeJob(
  store: ObjectStore,
  clock: Clock,
  { user, job }: { user: UserId; job: JobId },
): Promise<Resumed> {
  const { metadata, before } = await setControl(store, user, job, "run");
  const states = await readItemStates(store, user, metadata);
  const resumed: Resumed = { before, items: [], forMoney: [] };
  const queue = states.values();
  const worker = async (): Promise<void> => {
    for (const state of queue) {
      if (state.status === "held" && state.error?.kind === "budget") {
        resumed.forMoney.push(state.item_id);
      } else if (state.status === "held" || state.status === "cancelled") {
        const next = await putNextTicket(store, clock, state);
        if (next !== undefined) resumed.items.push({ item: state.item_id, ...next });
      }
    }
  };
  await Promise.all(Array.from({ length: WRITES_AT_ONCE }, worker));
  return resumed;
}

/** The next run, under the pipeline of before; there already is as good as written. */
async function putNextTicket(
  store: ObjectStore,
  clock: Clock,
  { input, run, user }: ItemState,
): Promise<{ run: number; ticket: ObjectKey } | undefined> {
  if (input === null) return undefined;
  const next: Ticket = {
    ...input,
    resends: 0,
    run: run + 1,
    created_at: clock.now().toISOString(),
  };
  const ticket = keysOf(user).ticket(input.lane, input.job_id, input.item_id, next.run);
  await putRecordIfAbsent(store, ticket, next);
  return { run: next.run, ticket };
}
