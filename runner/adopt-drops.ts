/**
 * Turns bare drops into jobs. What is heard of a drop is only a hint: HEAD says which version is
 * there. Metadata, state and ticket are put if absent, in this order, and each follows from the one
 * before, so that runners that race, and a runner that dies in between, end with the same job.
 */
import { describeDrop, isMediaDrop, nameDrop, ticketOfDrop } from "../core/bare-drop.ts";
import type { BareDrop } from "../core/bare-drop.ts";
import { ClipscribeError, asClipscribeError, isKind, toErrorRecord } from "../core/errors.ts";
import type { Lane } from "../core/ids.ts";
import { queueItem } from "../core/item-state.ts";
import { parseDropKey, parseTicketKey } from "../core/keys.ts";
import type { ObjectKey, UserKeys } from "../core/keys.ts";
import type { Metadata } from "../core/records.ts";
import type { Dispatch } from "./dispatch.ts";
import { readItem } from "./item-record.ts";
import type { JobMetadata } from "./job-metadata.ts";
import type { Messages } from "./messages.ts";
import type { RunnerWorld } from "./world.ts";

/** Each is read from its first byte to its last, mostly waiting for the network. */
const ADOPTIONS_AT_ONCE = 2;
/** So many wait to be read; what is more is found again. */
const MAX_WAITING = 1_000;
/** So many versions are remembered as done; who is forgotten costs two reads. */
const MAX_REMEMBERED = 20_000;
/** A drop that is replaced so often while it is read is left to the next sweep. */
const MAX_ROUNDS = 3;
/** So many failures of one version end this runner's tries at it. */
const MAX_TROUBLES = 4;

export interface AdoptionOptions {
  world: RunnerWorld;
  keys: UserKeys;
  jobs: JobMetadata;
  dispatch: Pick<Dispatch, "add" | "pump">;
  messages: Messages;
  stopping: AbortSignal;
}

/** A message, and the queue that it came from. */
interface Lease {
  lane: Lane;
  leaseId: string;
}

export interface Adoptions {
  /** Has a drop looked at. False: enough are waiting. */
  add(key: ObjectKey, lease?: Lease): boolean;
  /** True where this version is a job already, or never will be one, as far as is known here. */
  isSettled(drop: Pick<BareDrop, "key" | "etag">): boolean;
  /** Takes nothing more on. */
  retire(): void;
  settle(): Promise<void>;
}

export function openAdoptions(options: AdoptionOptions): Adoptions {
  const { world, messages, stopping } = options;
  const waiting = new Map<ObjectKey, Lease[]>();
  const underWay = new Map<ObjectKey, Lease[]>();
  const working = new Set<Promise<void>>();
  const settled = new Set<string>();
  const troubles = new Map<string, number>();
  let isRetiring = false;

  function pump(): void {
    while (!isRetiring && !stopping.aborted && underWay.size < ADOPTIONS_AT_ONCE) {
      const [next] = waiting;
      if (next === undefined) return;
      const [key, leases] = next;
      waiting.delete(key);
      underWay.set(key, leases);
      const work = take(key, leases).finally(() => working.delete(work));
      working.add(work);
    }
  }

  /** Never rejects. */
  async function take(key: ObjectKey, leases: readonly Lease[]): Promise<void> {
    try {
      await adopt(key);
      await acknowledge(leases);
    } catch (error) {
      if (!stopping.aborted) await trouble(key, leases, error);
    } finally {
      underWay.delete(key);
      pump();
    }
  }

  async function adopt(key: ObjectKey): Promise<void> {
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const drop = await world.store.head(key, { signal: stopping });
      if (drop === undefined || isSettled(drop)) return;
      try {
        await adoptDrop(options, drop);
        settle(drop);
        return;
      } catch (error) {
        // Replaced or removed while it was read: HEAD tells.
        if (!isKind(error, "conflict", "missing")) throw error;
      }
    }
    throw new ClipscribeError("transient", "a dropped file changes faster than it can be read");
  }

  async function trouble(key: ObjectKey, leases: readonly Lease[], thrown: unknown): Promise<void> {
    const error = toErrorRecord(asClipscribeError(thrown));
    const count = (troubles.get(key) ?? 0) + 1;
    troubles.set(key, count);
    world.log.error("a dropped file could not be made a job", { key, error });
    const delayMs = world.clocks.leaseMs * 2 ** count;
    // The sweep looks again as well; what never goes well is tried so often and no more.
    if (count >= MAX_TROUBLES) return acknowledge(leases);
    await giveBack(leases, delayMs);
  }

  async function acknowledge(leases: readonly Lease[]): Promise<void> {
    await Promise.all(leases.map(({ lane, leaseId }) => messages.acknowledge(lane, [leaseId])));
  }

  async function giveBack(leases: readonly Lease[], delayMs: number): Promise<void> {
    for (const { lane, leaseId } of leases) await messages.giveBack(lane, leaseId, delayMs);
  }

  function isSettled({ key, etag }: Pick<BareDrop, "key" | "etag">): boolean {
    return settled.has(`${etag} ${key}`);
  }

  function settle({ key, etag }: BareDrop): void {
    troubles.delete(key);
    settled.add(`${etag} ${key}`);
    const [oldest] = settled;
    if (settled.size > MAX_REMEMBERED && oldest !== undefined) settled.delete(oldest);
  }

  return {
    add(key, lease) {
      const leases = lease === undefined ? [] : [lease];
      const known = underWay.get(key) ?? waiting.get(key);
      if (known !== undefined) {
        known.push(...leases);
        return true;
      }
      const isAccepted = isMediaDrop(key, world.pipelines.current().accept);
      const isHopeless = (troubles.get(key) ?? 0) >= MAX_TROUBLES;
      if (!isAccepted || parseDropKey(key)?.user !== world.user || isHopeless) {
        void acknowledge(leases);
        return true;
      }
      if (waiting.size >= MAX_WAITING) {
        void giveBack(leases, world.clocks.leaseMs);
        return false;
      }
      waiting.set(key, leases);
      pump();
      return true;
    },
    isSettled,
    retire: () => void (isRetiring = true),
    async settle() {
      await Promise.all(working);
    },
  };
}

async function adoptDrop(options: AdoptionOptions, drop: BareDrop): Promise<void> {
  const { world, keys, dispatch } = options;
  const { job, item } = nameDrop(drop);
  const found = await readItem(world.store, keys.item(job, item));
  // From its first claim on, the item's state is the truth, and its tickets are people's.
  if (found !== undefined && found.state.epoch > 0) return;
  const ticket = found?.state.input ?? ticketOfDrop(await describe(options, drop));
  if (ticket?.source.drop?.key !== drop.key || ticket.source.drop.etag !== drop.etag) {
    throw new ClipscribeError("contract", "the job of a dropped file belongs to something else", {
      details: { key: drop.key, job },
      hint: "put the file under drops/ again, under another name",
    });
  }
  const queued = queueItem(ticket, new Date(ticket.created_at));
  await putIfAbsent(world, keys.item(job, item), queued);
  const ticketKey = keys.ticket(ticket.lane, job, item, ticket.run);
  if (await putIfAbsent(world, ticketKey, ticket)) {
    world.log.info("a dropped file is a job now", { key: drop.key, job });
  }
  const address = parseTicketKey(ticketKey);
  if (address !== undefined) dispatch.add(ticketKey, address);
  dispatch.pump();
}

/** The job's record, by whoever was first: another runner may have another pipeline in force. */
async function describe(options: AdoptionOptions, drop: BareDrop): Promise<Metadata> {
  const { world, keys, jobs, stopping } = options;
  const { job } = nameDrop(drop);
  const before = await jobs.read(job).catch((error: unknown) => {
    if (isKind(error, "missing")) return undefined;
    throw error;
  });
  if (before !== undefined) return before;
  const { name, digest } = world.pipelines.current();
  const sha256 = await world.drops.read(drop, stopping);
  const known = { user: world.user, sha256, pipeline: { name, digest } };
  await putIfAbsent(world, keys.metadata(job), describeDrop(drop, known));
  return jobs.read(job);
}

async function putIfAbsent(
  { store }: RunnerWorld,
  key: ObjectKey,
  value: object,
): Promise<boolean> {
  try {
    await store.put(key, Buffer.from(`${JSON.stringify(value, null, 1)}\n`), { ifMatch: null });
    return true;
  } catch (error) {
    if (isKind(error, "conflict")) return false;
    throw error;
  }
}
