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
import { ClaimLost } from "./interruptions.ts";
import type { OpenCalls } from "./open-calls.ts";
import type { RunnerWorld } from "./world.ts";

/** How often a waiting runner looks whether another's call has ended. */
const WAIT_POLL_MS = 500;
/** A paid call takes minutes at most; longer than this the wait itself has failed. */
const MAX_WAIT_MS = 3 * 60 * 60 * 1000;
/** Runners that take one call from each other settle it in a few rounds. */
const MAX_RACES = 5;
/** An answer that the store does not take is kept in memory and written again, this long. */
const MAX_UNWRITTEN_MS = 10 * 60 * 1000;
const UNWRITTEN_PAUSE_MS = 2_000;
/** Work that is told to end waits so long for it. */
const MAX_END_MS = 5_000;

type CacheKey = ReturnType<UserKeys["cache"]>;

export interface PaidCallContext {
  signal: AbortSignal;
  /** Sets money aside. @throws `budget` */
  reserve: (usd: number) => Promise<Reservation>;
  isAlive: (runner: RunnerId) => Promise<boolean>;
  /** @throws when this runner may have been taken for dead: others may be paying by now. */
  assertAlive: () => void;
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
    try {
      const entry = startEntry(world, digest, estimateUsd);
      const paid = await ask(world, { key, entry, before: found?.etag ?? null, call }, context);
      // Somebody else was faster to enter it, and pays: that answer is waited for.
      if (paid !== undefined) return paid;
    } finally {
      underWay.delete(digest);
      ended();
    }
  }
}

interface Asked {
  key: CacheKey;
  entry: CallCacheEntry;
  /** Of what the entry replaces. */
  before: Etag | null;
  call: PaidCall["call"];
}

/** Returns undefined where the call was not made, since another entered it first. */
async function ask(
  world: RunnerWorld,
  { key, entry, before, call }: Asked,
  context: PaidCallContext,
): Promise<PaidResult | undefined> {
  const { calls, signal } = context;
  const { paidIntentFirst, lifeBeforePaying } = world.defences;
  const reservation = await context.reserve(entry.estimate_usd);
  let etag: Etag | undefined;
  let isAnswered = false;
  try {
    if (paidIntentFirst) {
      etag = await putEntry(world, key, entry, before, signal).catch(undefinedIfConflict);
      if (etag === undefined) return undefined;
    }
    calls.begun(key);
    if (lifeBeforePaying) context.assertAlive();
    signal.throwIfAborted();
    const answer = await call(signal);
    isAnswered = true;
    reservation.settle(answer.costUsd);
    return await keepAnswer(world, key, { entry, etag, answer }, context);
  } catch (error) {
    if (etag !== undefined && !isAnswered) await calls.failed(key, entry, etag);
    throw error;
  } finally {
    reservation.settle(0);
  }
}

function undefinedIfConflict(error: unknown): undefined {
  if (!isKind(error, "conflict")) throw error;
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
 * The money is spent: a store that is out of reach is waited for rather than to ask and pay again. Work
 * that is ended meanwhile waits a little. Where its claim was lost the process goes on, and the answer is
 * written behind the work, for whoever has the item next; else the process ends, or a person wants none.
 */
async function keepAnswer(
  world: RunnerWorld,
  key: CacheKey,
  answered: Answered,
  { signal, calls }: PaidCallContext,
): Promise<PaidResult> {
  const { entry, etag } = answered;
  const stop = new AbortController();
  const written = keepWriting(world, key, answered, stop.signal).catch(async (error: unknown) => {
    // Until then others wait for the answer.
    if (etag !== undefined) await calls.failed(key, entry, etag);
    throw error;
  });
  const over = new AbortController();
  const late = aborted(AbortSignal.any([signal, over.signal])).then(async () => {
    await world.clock.sleep(MAX_END_MS, over.signal);
    if (!(signal.reason instanceof ClaimLost)) stop.abort();
    signal.throwIfAborted();
    return written;
  });
  try {
    return await Promise.race([written, late]);
  } finally {
    over.abort();
  }
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) =>
    signal.addEventListener("abort", () => resolve(), { once: true }),
  );
}

async function keepWriting(
  world: RunnerWorld,
  key: CacheKey,
  answered: Answered,
  stop: AbortSignal,
): Promise<PaidResult> {
  const deadline = world.clock.monotonicMs() + MAX_UNWRITTEN_MS;
  for (;;) {
    try {
      return await writeAnswer(world, key, answered);
    } catch (error) {
      const isOver = stop.aborted || world.clock.monotonicMs() > deadline;
      if (isOver || !isKind(error, "transient")) throw error;
      world.log.warn("a paid answer could not be written yet", {
        error: asClipscribeError(error).message,
      });
      await world.clock.sleep(UNWRITTEN_PAUSE_MS, stop).catch(() => undefined);
    }
  }
}

async function writeAnswer(
  world: RunnerWorld,
  key: CacheKey,
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
  let ifMatch: Etag | null | undefined = etag;
  for (let race = 0; race < MAX_RACES; race++) {
    const isMine = await putEntry(world, key, done, ifMatch).catch(undefinedIfConflict);
    if (isMine !== undefined) break;
    const found = await readEntry(world, key);
    if (found?.entry.state === "done") return reuse(found.entry);
    // Another took this runner for dead and entered the call: here is its answer.
    ifMatch = found?.etag ?? null;
  }
  return { ...answer, reused: false };
}

function reuse(entry: CallCacheEntry): PaidResult {
  const answer = JSON.parse(entry.answer ?? "null") as unknown;
  return { answer, usage: entry.usage, costUsd: entry.cost, reused: true };
}

async function putEntry(
  world: RunnerWorld,
  key: CacheKey,
  entry: CallCacheEntry,
  ifMatch: Etag | null | undefined,
  signal?: AbortSignal,
): Promise<Etag> {
  return world.store.put(key, Buffer.from(JSON.stringify(entry)), { ifMatch, signal });
}

async function readEntry(
  world: RunnerWorld,
  key: CacheKey,
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
