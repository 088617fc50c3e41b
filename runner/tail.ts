/**
 * What follows a publish or any other end of a run. Every step is idempotent, and the ticket goes
 * last: a ticket whose item has ended means an unfinished tail, and whoever meets it finishes it.
 *
 *   project results/ → dead/ (its entry, or none) → the job's row (and the job) → delete the ticket
 */
import { hasEnded, isOutcome } from "../core/item-state.ts";
import type { Sha256 } from "../core/ids.ts";
import type { UserKeys } from "../core/keys.ts";
import { ClipscribeError, isKind } from "../core/errors.ts";
import { Manifest } from "../core/records.ts";
import type { DeadRecord, ItemState, Ticket } from "../core/records.ts";
import { sha256Of } from "../core/digest.ts";
import { getIfPresent } from "../ports/get-if-present.ts";
import type { Etag, ObjectStore } from "../ports/object-store.ts";
import { readItem } from "./item-record.ts";
import type { JobRows } from "./job-rows.ts";
import { MANIFEST_FILE, TIMESTAMP_FILE } from "./publish.ts";
import type { RunnerWorld } from "./world.ts";

/** A publish that is overtaken by another starts over; three in a row would be a storm. */
const MAX_PROJECTIONS = 5;
/** Files of one item are linked or copied so many at a time. */
const COPIES_AT_ONCE = 8;

/** What whoever ended the run has in hand; a tail that is met later has the state alone. */
export interface EndedItem {
  state: ItemState;
  /** Of the state as it was written. */
  etag?: Etag;
  /** What the state's manifest hash names. */
  manifest?: Manifest;
}

export async function runTail(
  world: RunnerWorld,
  keys: UserKeys,
  rows: JobRows,
  ticket: Pick<Ticket, "job_id" | "item_id" | "run" | "lane">,
  ended: EndedItem,
): Promise<void> {
  const { store } = world;
  const ticketKey = keys.ticket(ticket.lane, ticket.job_id, ticket.item_id, ticket.run);
  if (!world.defences.ticketLast) await store.delete(ticketKey);
  let { state } = ended;
  if (state.manifest !== null) state = await project(world, keys, ended);
  await tellDead(world, keys, state === ended.state ? ended : { state });
  if (isOutcome(state.status) || state.status === "held") {
    await rows.set(state.job_id, state.item_id, {
      status: state.status,
      run: state.run,
      cost: state.cost,
      manifest: state.manifest,
    });
  }
  // Should a power cut bring it back, its tail is finished once more.
  if (world.defences.ticketLast) await store.delete(ticketKey, { durability: "recomputable" });
}

/**
 * A ticket of an older run is met. Its tail may have ended in the middle, over files that the newer
 * run has shown already: they are shown once more before the last sign of that goes.
 */
export async function endSuperseded(
  world: RunnerWorld,
  keys: UserKeys,
  { lane, job_id, item_id, run }: Pick<Ticket, "job_id" | "item_id" | "run" | "lane">,
  current: EndedItem,
): Promise<void> {
  await project(world, keys, current, { isTrusted: false }).catch((error: unknown) => {
    // Published so long ago that its blobs have expired: what is shown is all there is.
    if (!isKind(error, "missing")) throw error;
  });
  if (hasEnded(current.state)) await tellDead(world, keys, current);
  await world.store.delete(keys.ticket(lane, job_id, item_id, run));
}

/** Makes `results/` show the manifest that the state names, its manifest.json last. */
async function project(
  world: RunnerWorld,
  keys: UserKeys,
  first: EndedItem,
  shown = { isTrusted: true },
): Promise<ItemState> {
  let ended = first;
  let { isTrusted } = shown;
  for (let round = 0; round < MAX_PROJECTIONS; round++) {
    const { state } = ended;
    const named = state.manifest;
    if (named === null) return state;
    await projectOnce(world, keys, ended, isTrusted);
    const key = keys.item(state.job_id, state.item_id);
    const now = await readItem(world.store, key, { ifNoneMatch: ended.etag });
    if (now === undefined || now.state.manifest?.sha256 === named.sha256) return state;
    ended = now;
    // Older files were copied just now, perhaps beneath a manifest.json that is the newer one.
    isTrusted = false;
  }
  throw new ClipscribeError("transient", "an item is republished faster than it can be shown");
}

async function projectOnce(
  world: RunnerWorld,
  keys: UserKeys,
  { state, manifest: known }: EndedItem,
  /** Whether the files beside a manifest.json are those that it names. */
  isTrusted: boolean,
): Promise<void> {
  const { store } = world;
  const { job_id: job, item_id: item, manifest: ref } = state;
  if (ref === null) return;
  const target = keys.result(job, item, MANIFEST_FILE);
  const shown = await getIfPresent(store, target);
  if (isTrusted && shown !== undefined && sha256Of(shown.body) === ref.sha256) return;
  const manifest = known ?? (await readManifest(store, keys, ref.sha256));
  if (!world.defences.manifestLast) await store.copy(keys.blob(ref.sha256), target);
  await inParallel(manifest.files, async ({ path, sha256 }) => {
    await store.copy(keys.blob(sha256), keys.result(job, item, path), {
      durability: "recomputable",
    });
  });
  const current = new Set<string>(manifest.files.map(({ path }) => keys.result(job, item, path)));
  if (ref.timestamp !== undefined) {
    const timestamp = keys.result(job, item, TIMESTAMP_FILE);
    await store.copy(keys.blob(ref.timestamp), timestamp, { durability: "recomputable" });
    current.add(timestamp);
  }
  if (shown !== undefined || !isTrusted) {
    for await (const { key } of store.list(keys.results(job, item))) {
      if (!current.has(key) && key !== target) await store.delete(key);
    }
  }
  if (world.defences.manifestLast) {
    await store.copy(keys.blob(ref.sha256), target, { durability: "recomputable" });
  }
}

async function readManifest(store: ObjectStore, keys: UserKeys, sha256: Sha256): Promise<Manifest> {
  const { body } = await store.get(keys.blob(sha256));
  return Manifest.parse(JSON.parse(Buffer.from(body).toString("utf8")));
}

/**
 * Under `dead/` lies why an item failed, for as long as it has: a run that ends otherwise takes away
 * what the one before it left. Whoever tells of a run that was overtaken tells of the newer one, too.
 */
async function tellDead(world: RunnerWorld, keys: UserKeys, first: EndedItem): Promise<void> {
  let told = first;
  for (let round = 0; round < MAX_PROJECTIONS; round++) {
    const { state, etag } = told;
    const { job_id: job, item_id: item } = state;
    if (state.status === "failed") await writeDead(world, keys, state);
    else if (state.run === 1) return;
    else await world.store.delete(keys.dead(job, item), { durability: "recomputable" });
    const now = await readItem(world.store, keys.item(job, item), { ifNoneMatch: etag });
    if (now === undefined || now.state.run === state.run || !hasEnded(now.state)) return;
    told = now;
  }
}

async function writeDead(
  { store, clock }: RunnerWorld,
  keys: UserKeys,
  state: ItemState,
): Promise<void> {
  const { job_id: job, item_id: item } = state;
  const error = state.error ?? { kind: "bug" as const, message: "unknown", hint: null, cause: [] };
  const dead: DeadRecord = {
    schema: 1,
    job_id: job,
    item_id: item,
    run: state.run,
    attempts: state.attempts,
    reason: error.message,
    error,
    replay: `clipscribe replay ${job}/${item}`,
    at: clock.now().toISOString(),
  };
  await store.put(keys.dead(job, item), Buffer.from(`${JSON.stringify(dead, null, 2)}\n`));
}

async function inParallel<Value>(
  values: readonly Value[],
  work: (value: Value) => Promise<void>,
): Promise<void> {
  const queue = values.values();
  const worker = async (): Promise<void> => {
    for (const value of queue) await work(value);
  };
  await Promise.all(Array.from({ length: Math.min(COPIES_AT_ONCE, values.length) }, worker));
}
