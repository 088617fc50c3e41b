/**
 * Hands a job over: metadata, states (`queued`), then tickets, each put if absent, so that it can be
 * cut off anywhere and done again. What is done already gets no new run.
 */
import { readFileSync } from "node:fs";
import { basename } from "node:path";

import { canonicalJson, sha256Of } from "../core/digest.ts";
import { ClipscribeError, isHeld, isKind, toErrorRecord } from "../core/errors.ts";
import type { ItemId, JobId, Lane, Sha256, UserId } from "../core/ids.ts";
import { endUnprepared, queueItem } from "../core/item-state.ts";
import { keysOf } from "../core/keys.ts";
import type { Notify } from "../core/recipients.ts";
import type { ObjectKey } from "../core/keys.ts";
import { ItemState, Metadata, SIDECAR_PREFIX, Ticket, isSidecar } from "../core/records.ts";
import type { ItemInfo, Source } from "../core/records.ts";
import type { Clock } from "../ports/clock.ts";
import type { Etag, ObjectStore } from "../ports/object-store.ts";
import type { PrepareItem } from "./prepare-port.ts";
import { putBytesIfAbsent, putRecord, putRecordIfAbsent, readRecord } from "./stored-records.ts";

/** Caption files are text; a larger one is none. */
const MAX_SIDECAR_BYTES = 16 * 1024 * 1024;
/** Tickets that were written and never claimed, one after another. */
const MAX_RUNS_AHEAD = 1_000;
/** Writers of one record: each loses to another once or twice, not more often. */
const MAX_RACES = 10;
/** States are read and tickets written so many at a time. */
const AT_ONCE = 16;

export interface SubmittedItem {
  id: ItemId;
  source: Source;
  info: ItemInfo;
  /** Absolute paths of caption files. */
  sidecars: readonly string[];
}

export interface JobSubmission {
  job: JobId;
  user: UserId;
  lane: Lane;
  pipeline: { name: string; digest: Sha256 };
  device: string;
  items: readonly SubmittedItem[];
  /** All that belongs to the job, in its order, where more is to come than `items`. */
  announced?: Metadata["items"];
  /** Hands these over and no others yet: the rest of the job's items follow as they are ready. */
  only?: ReadonlySet<ItemId>;
  /** A new run of what is done already: of all, or of these. */
  again: boolean | ReadonlySet<ItemId>;
  /** Whom to tell when the job is finished; without it, whoever was named before. */
  notify?: Notify | undefined;
  /** USD an item, from now on; without it, what was said before stays. */
  budgetUsd?: number | null;
  /** USD the whole job, as a person said; without it, what was said before stays. */
  approvedUsd?: number | null;
  /** The original goes up as well, also when it is sent again; without it, as was said before. */
  keepVideo?: boolean;
}

export type Handoff =
  /** Published before from the same source by the same pipeline. */
  | { item: ItemId; action: "done"; state: ItemState }
  /** A ticket waits for a runner: a new one, or one from before. */
  | { item: ItemId; action: "ticket"; ticket: ObjectKey; run: number }
  /** Its file could not be made ready: failed or held. The ticket is for the tail alone. */
  | { item: ItemId; action: "ended"; ticket: ObjectKey; run: number; state: ItemState };

/** `prepare` is called for what needs a new ticket, several at a time, before the ticket is there. */
export async function submitJob(
  store: ObjectStore,
  clock: Clock,
  submission: JobSubmission,
  prepare: PrepareItem = prepareNothing,
): Promise<Handoff[]> {
  await announceJob(store, clock, submission);
  const handoffs: Handoff[] = [];
  const { only } = submission;
  const items = submission.items.filter(({ id }) => only === undefined || only.has(id));
  const queue = items.entries();
  const worker = async (): Promise<void> => {
    for (const [index, item] of queue) {
      handoffs[index] = await handOffOnce(store, clock, submission, item, prepare);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return handoffs;
}

/** Reads which ids a job has given to which names. */
export async function readItemIds(
  store: ObjectStore,
  user: UserId,
  job: JobId,
): Promise<Map<string, ItemId>> {
  const found = await readMetadata(store, keysOf(user).metadata(job));
  const items = found?.metadata.items ?? [];
  return new Map(items.map(({ item_id, source }) => [source.url ?? source.filename, item_id]));
}

/** Others write it too: a second process with the same files, or a person who approves. */
export async function announceJob(
  store: ObjectStore,
  clock: Clock,
  submission: JobSubmission,
): Promise<void> {
  const key = keysOf(submission.user).metadata(submission.job);
  for (let round = 1; ; round++) {
    const before = await readMetadata(store, key);
    const metadata = describeMetadata(submission, before?.metadata, clock.now());
    if (before !== undefined && JSON.stringify(before.metadata) === JSON.stringify(metadata))
      return;
    const body = Buffer.from(JSON.stringify(metadata));
    try {
      await store.put(key, body, { ifMatch: before?.etag ?? null });
      return;
    } catch (error) {
      if (!isKind(error, "conflict") || round >= MAX_RACES) throw error;
    }
  }
}

function describeMetadata(
  submission: JobSubmission,
  before: Metadata | undefined,
  now: Date,
): Metadata {
  return {
    schema: 1,
    job_id: submission.job,
    user: submission.user,
    user_email: null,
    submitted_at: before?.submitted_at ?? now.toISOString(),
    lane: submission.lane,
    pipeline: submission.pipeline,
    items:
      submission.announced ?? submission.items.map(({ id, source }) => ({ item_id: id, source })),
    options: {
      ...before?.options,
      ...(submission.keepVideo !== undefined && { keep_video: submission.keepVideo }),
    },
    device: submission.device,
    notify: submission.notify ?? before?.notify ?? { email: null, webhook: null },
    // Running it again is how a person says "go on".
    control: {
      state: "run",
      budget_usd: submission.budgetUsd ?? before?.control.budget_usd ?? null,
      approved_usd: submission.approvedUsd ?? before?.control.approved_usd ?? null,
    },
  };
}

async function readMetadata(
  store: ObjectStore,
  key: ObjectKey,
): Promise<{ metadata: Metadata; etag: Etag } | undefined> {
  const found = await readRecord(store, key, Metadata);
  return found && { metadata: found.value, etag: found.etag };
}

/** Another process may hand the same item over meanwhile: then its state says what is left to do. */
async function handOffOnce(...work: Parameters<typeof handOff>): Promise<Handoff> {
  for (let race = 1; ; race++) {
    try {
      return await handOff(...work);
    } catch (error) {
      if (!isKind(error, "conflict") || race >= MAX_RACES) throw error;
    }
  }
}

async function handOff(
  store: ObjectStore,
  clock: Clock,
  submission: JobSubmission,
  item: SubmittedItem,
  prepare: PrepareItem,
): Promise<Handoff> {
  const stateKey = keysOf(submission.user).item(submission.job, item.id);
  const ticket = await buildTicket(store, clock, submission, item);
  const found = await readRecord(store, stateKey, ItemState);
  const state = found?.value;
  const isSame = state?.input != null && isSameWork(state.input, ticket);
  const { again } = submission;
  const isWanted = typeof again === "boolean" ? again : again.has(item.id);
  if (state !== undefined && isSame && state.status === "complete" && !isWanted) {
    return { item: item.id, action: "done", state };
  }
  if (state?.input != null && isSame && isHandedOff(state)) {
    // Its ticket is there, or was never written by whoever died in between: it is the same.
    return putTicket(store, submission, { ...state.input, run: state.run });
  }
  const run = state === undefined || isBeforeTicket(state) ? (state?.run ?? 1) : state.run + 1;
  const work = await prepare({ ...ticket, run }, state?.stages ?? {});
  const { artifacts, prepared, stages, videoKey, error } = work;
  const ready = { ...ticket, run, artifacts: [...ticket.artifacts, ...artifacts], prepared };
  if (error !== null) {
    const status = isHeld(error) ? ("held" as const) : ("failed" as const);
    const end = { status, error: toErrorRecord(error), stages };
    const before = found === undefined || isBeforeTicket(found.value) ? undefined : found.value;
    const ended = endUnprepared(before, ready, end, clock.now());
    await putRecord(store, stateKey, ended, found?.etag ?? null);
    // A ticket of an item that has ended: whichever runner meets it does what follows an end.
    return { ...(await putTicket(store, submission, ready)), action: "ended", state: ended };
  }
  if (state === undefined) {
    await putRecordIfAbsent(store, stateKey, queueItem(ready, clock.now(), { stages, videoKey }));
  } else if (isBeforeTicket(state)) {
    const queued = queueItem(ready, clock.now(), { stages, videoKey });
    await putRecord(store, stateKey, queued, found?.etag ?? null);
  }
  return putTicket(store, submission, ready);
}

/** Everything that a run's outcome depends on, and what people see of it. */
function isSameWork(a: Ticket, b: Ticket): boolean {
  const work = ({ pipeline_digest, source, artifacts, info }: Ticket): string =>
    // What edge stages make follows from the rest.
    canonicalJson([pipeline_digest, source, artifacts.filter(isSidecar), info]);
  return work(a) === work(b);
}

function isHandedOff({ status }: ItemState): boolean {
  return status === "queued" || status === "processing";
}

function isBeforeTicket({ status }: ItemState): boolean {
  return status === "pending" || status === "downloading" || status === "uploading";
}

const prepareNothing: PrepareItem = () =>
  Promise.resolve({ artifacts: [], prepared: [], stages: {}, videoKey: null, error: null });

/** Stores the caption files, then describes the ticket that names them. */
async function buildTicket(
  store: ObjectStore,
  clock: Clock,
  submission: JobSubmission,
  item: SubmittedItem,
): Promise<Ticket> {
  const { user } = submission;
  for (const path of item.sidecars) {
    const body = readSidecar(path);
    await putBytesIfAbsent(store, keysOf(user).blob(sha256Of(body)), body);
  }
  return describeTicket(submission, item, clock.now());
}

/** The ticket of an item's first run; reads its caption files, stores nothing. */
export function describeTicket(
  submission: Pick<JobSubmission, "job" | "user" | "lane" | "pipeline">,
  item: SubmittedItem,
  now: Date,
): Ticket {
  const { job, user, lane, pipeline } = submission;
  return {
    schema: 1,
    job_id: job,
    item_id: item.id,
    run: 1,
    user,
    lane,
    pipeline_digest: pipeline.digest,
    source: item.source,
    artifacts: item.sidecars.map((path) => {
      const body = readSidecar(path);
      const sha256 = sha256Of(body);
      const key = keysOf(user).blob(sha256);
      const name = `${SIDECAR_PREFIX}${basename(path)}`;
      return { name, sha256, size: body.length, key, media_type: null, file_name: null };
    }),
    prepared: [],
    info: item.info,
    created_at: now.toISOString(),
    from_stage: null,
    resends: 0,
  };
}

/** The first run from `ticket.run` on whose ticket is free, or holds the same work. */
async function putTicket(
  store: ObjectStore,
  submission: JobSubmission,
  ticket: Ticket,
): Promise<Handoff & { action: "ticket" }> {
  const keys = keysOf(submission.user);
  for (let run = ticket.run; run < ticket.run + MAX_RUNS_AHEAD; run++) {
    const key = keys.ticket(submission.lane, submission.job, ticket.item_id, run);
    const handoff = { item: ticket.item_id, action: "ticket" as const, ticket: key, run };
    if (await putRecordIfAbsent(store, key, { ...ticket, run })) return handoff;
    const other = await readTicket(store, key);
    if (other !== undefined && isSameWork(other, ticket) && hasAllOf(other, ticket)) return handoff;
  }
  throw new ClipscribeError("conflict", "too many unclaimed tickets of one item", {
    details: { item: ticket.item_id },
    hint: "let a runner work them off, then run again",
  });
}

/** A ticket that lacks what was made since is no better than none. */
function hasAllOf(ticket: Ticket, { artifacts }: Ticket): boolean {
  const there = new Set(ticket.artifacts.map(({ name, sha256 }) => `${name} ${sha256}`));
  return artifacts.every(({ name, sha256 }) => there.has(`${name} ${sha256}`));
}

export function readSidecar(path: string): Uint8Array {
  const body = readFileSync(path);
  if (body.length <= MAX_SIDECAR_BYTES) return body;
  throw new ClipscribeError("contract", "a caption file is too large", {
    details: { file: basename(path), bytes: body.length },
    hint: "move it away, or put a real caption file in its place",
  });
}

/** One that can't be read is another's: the next run's key is tried. */
async function readTicket(store: ObjectStore, key: ObjectKey): Promise<Ticket | undefined> {
  const found = await readRecord(store, key, { parse: (value) => Ticket.safeParse(value).data });
  return found?.value;
}
