/**
 * Calls that cost money: keyed, cached and metered one by one. Who wants to pay first puts
 * `running` under the call's key; whoever comes second waits for the answer, or takes over when
 * that runner is dead. A finished entry is never overwritten.
 */
import { canonicalJson, digestOf } from "../core/digest.ts";
import { ClipscribeError, asClipscribeError, isKind } from "../core/errors.ts";
import type { RunnerId, Sha256 } from "../core/ids.ts";
import type { UserKeys } from "../core/keys.ts";
import type { Reservation } from "../core/money.ts";
import { CallCacheEntry } from "../core/records.ts";
import type { PaidAnswer, PaidRequest } from "../core/stage.ts";
import type { Etag } from "../ports/object-store.ts";
import type { OpenCalls } from "./open-calls.ts";
import type { RunnerWorld } from "./world.ts";

/** How often a waiting runner looks whether another's call has ended. */
const WAIT_POLL_MS = 500;
/** A paid call takes minutes at most; longer than this the wait itself has failed. */
const MAX_WAIT_MS = 3 * 60 * 60 * 1000;
/** An answer that the store does not take is kept in memory and written again, this long. */
const MAX_UNWRITTEN_MS = 10 * 60 * 1000;
const UNWRITTEN_PAUSE_MS = 2_000;

export interface PaidCallContext {
  signal: AbortSignal;
  /** Sets money aside. @throws `budget` */
  reserve: (usd: number) => Promise<Reservation>;
  isAlive: (runner: RunnerId) => Promise<boolean>;
  /** The claim's. */
  calls: OpenCalls;
}

export interface PaidCall {
  request: PaidRequest;
  estimateUsd: number;
  /** Asks the provider. */
  call: (signal: AbortSignal) => Promise<PaidAnswer>;
}

export interface PaidResult extends PaidAnswer {
  reused: boolean;
}

/** Equal requests have equal keys: files count by content, never by path or name. */
export function paidCallKey(request: PaidRequest): Sha256 {
  const { provider, model, operation, payload, files = {} } = request;
  const digests = Object.fromEntries(
    Object.entries(files).map(([name, { sha256 }]) => [name, sha256]),
  );
  return digestOf({ v: 1, kind: "call", provider, model, operation, payload, files: digests });
}

/** Calls that items of one runner are paying for now; `running` entries tell runners apart only. */
const underWayByWorld = new WeakMap<RunnerWorld, Map<Sha256, Promise<void>>>();

function callsUnderWay(world: RunnerWorld): Map<Sha256, Promise<void>> {
  const known = underWayByWorld.get(world) ?? new Map<Sha256, Promise<void>>();
  underWayByWorld.set(world, known);
  return known;
}

export async function payOnce(
  world: RunnerWorld,
  keys: UserKeys,
  { request, estimateUsd, call }: PaidCall,
  context: PaidCallContext,
): Promise<PaidResult> {
  const digest = paidCallKey(request);
  const key = keys.cache(digest);
  const underWay = callsUnderWay(world);
  const deadline = world.clock.monotonicMs() + MAX_WAIT_MS;
  for (;;) {
    context.signal.throwIfAborted();
    const found = await readEntry(world, key, context.signal);
    if (found?.entry.state === "done") return reuse(found.entry);
    const isMine = found === undefined || !(await isHeldByOther(world, found.entry, context));
    if (!isMine) {
      if (world.clock.monotonicMs() > deadline) {
        throw new ClipscribeError("transient", "another runner's paid call did not end");
      }
      await world.clock.sleep(WAIT_POLL_MS, context.signal);
      continue;
    }
    const sameCall = underWay.get(digest);
    if (sameCall !== undefined) {
      // Another item of this runner pays for it already: the next look finds its answer.
      await sameCall;
      continue;
    }
    const { promise, resolve: ended } = Promise.withResolvers<void>();
    underWay.set(digest, promise);
    const { calls } = context;
    let reservation: Reservation | undefined;
    const entry = startEntry(world, digest, estimateUsd);
    let etag: Etag | undefined;
    try {
      reservation = await context.reserve(estimateUsd);
      if (world.defences.paidIntentFirst) {
        etag = await putEntry(world, key, entry, found?.etag ?? null, context.signal);
      }
      calls.begun(key);
      const answer = await call(context.signal);
      reservation.settle(answer.costUsd);
      return await keepAnswer(world, key, { entry, etag, answer }, context.signal);
    } catch (error) {
      if (etag !== undefined) await calls.failed(key, entry, etag);
      // Lost the race to enter `running`: someone else is paying, so wait for that answer.
      if (isKind(error, "conflict")) continue;
      throw error;
    } finally {
      reservation?.settle(0);
      underWay.delete(digest);
      ended();
    }
  }
}

async function isHeldByOther(
  world: RunnerWorld,
  entry: CallCacheEntry,
  context: PaidCallContext,
): Promise<boolean> {
  return entry.runner !== world.runner && context.isAlive(entry.runner);
}

function startEntry(world: RunnerWorld, key: Sha256, estimateUsd: number): CallCacheEntry {
  return {
    schema: 1,
    kind: "call",
    key,
    state: "running",
    runner: world.runner,
    estimate_usd: estimateUsd,
    cost: 0,
    usage: {},
    answer: null,
    started_at: world.clock.now().toISOString(),
    ended_at: null,
  };
}

interface Answered {
  entry: CallCacheEntry;
  etag: Etag | undefined;
  answer: PaidAnswer;
}

/**
 * The money is spent: the answer is written even while the work is being cancelled, and while the
 * work goes on, a store that is out of reach is waited for rather than to ask and pay again.
 */
async function keepAnswer(
  world: RunnerWorld,
  key: ReturnType<UserKeys["cache"]>,
  answered: Answered,
  signal: AbortSignal,
): Promise<PaidResult> {
  const deadline = world.clock.monotonicMs() + MAX_UNWRITTEN_MS;
  for (;;) {
    try {
      return await writeAnswer(world, key, answered);
    } catch (error) {
      const isOver = signal.aborted || world.clock.monotonicMs() > deadline;
      if (isOver || !isKind(error, "transient")) throw error;
      world.log.warn("a paid answer could not be written yet", {
        error: asClipscribeError(error).message,
      });
      await world.clock.sleep(UNWRITTEN_PAUSE_MS, signal).catch(() => undefined);
    }
  }
}

async function writeAnswer(
  world: RunnerWorld,
  key: ReturnType<UserKeys["cache"]>,
  { entry, etag, answer }: Answered,
): Promise<PaidResult> {
  const done: CallCacheEntry = {
    ...entry,
    state: "done",
    cost: answer.costUsd,
    usage: answer.usage,
    answer: canonicalJson(answer.answer),
    ended_at: world.clock.now().toISOString(),
  };
  try {
    await putEntry(world, key, done, etag);
  } catch (error) {
    if (!isKind(error, "conflict")) throw error;
    const first = await readEntry(world, key);
    if (first?.entry.state === "done") return reuse(first.entry);
    throw error;
  }
  return { ...answer, reused: false };
}

function reuse(entry: CallCacheEntry): PaidResult {
  const answer = JSON.parse(entry.answer ?? "null") as unknown;
  return { answer, usage: entry.usage, costUsd: entry.cost, reused: true };
}

async function putEntry(
  world: RunnerWorld,
  key: ReturnType<UserKeys["cache"]>,
  entry: CallCacheEntry,
  ifMatch: Etag | null | undefined,
  signal?: AbortSignal,
): Promise<Etag> {
  return world.store.put(key, Buffer.from(JSON.stringify(entry)), { ifMatch, signal });
}

async function readEntry(
  world: RunnerWorld,
  key: ReturnType<UserKeys["cache"]>,
  signal?: AbortSignal,
): Promise<{ entry: CallCacheEntry; etag: Etag } | undefined> {
  try {
    const { body, etag } = await world.store.get(key, { signal });
    return { entry: CallCacheEntry.parse(JSON.parse(Buffer.from(body).toString("utf8"))), etag };
  } catch (error) {
    if (isKind(error, "missing")) return undefined;
    if (error instanceof ClipscribeError) throw error;
    throw new ClipscribeError("contract", "a paid call's record can't be read", {
      details: { key },
      hint: "restore it, or delete it to pay for the call again",
      cause: error,
    });
  }
}
