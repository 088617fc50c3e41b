/**
 * What becomes of what was handed off, while the agent runs: brings results, watches for servers, and
 * says when the lid may be closed.
 */
import { asClipscribeError, isKind } from "../core/errors.ts";
import type { ClipscribeError } from "../core/errors.ts";
import type { JobId, UserId } from "../core/ids.ts";
import { parseObjectKey } from "../core/keys.ts";
import type { ObjectKey } from "../core/keys.ts";
import type { Clock } from "../ports/clock.ts";
import type { DropLedger } from "../ports/drop-ledger.ts";
import type { ObjectStore } from "../ports/object-store.ts";
import type { RunnerEvent } from "../runner/runner-events.ts";
import type { AgentEvent } from "../sync/agent-world.ts";
import type { AgentCounts } from "../sync/agent.ts";
import { collectAwaited } from "../sync/collect-awaited.ts";
import type { CollectEvent } from "../sync/collect-awaited.ts";
import { createJobFilesCollector } from "../sync/collect-job-files.ts";
import { adviseLid } from "../sync/lid.ts";
import type { LidAdvice } from "../sync/lid.ts";
import { createServerWatch } from "../sync/server-watch.ts";
import { createResultsWatch } from "../sync/watch-results.ts";

/** How often outcomes are looked for; which jobs of a bucket are asked about then, the watch knows. */
const LOOK_MS = 5_000;
/** A listing of runners; more often it would cost more than it tells. */
const SERVERS_MS = 30_000;
/** The lid's sentence is looked at so often. */
const LID_MS = 500;
const SEEN_FACT = "server_seen_at";
/** So many items make an average that is worth telling. */
const MIN_SAMPLES = 1;

export interface ProgressOptions {
  store: ObjectStore;
  user: UserId;
  ledger: DropLedger;
  clock: Clock;
  host: string;
  isEmbedded: boolean;
  resultsDir: string;
  /** Shortest time between two questions to a bucket about a job. */
  pollMs: number;
  counts: () => AgentCounts;
  onLid: (advice: LidAdvice) => void;
  onResult: (event: CollectEvent) => void;
  onTrouble: (error: ClipscribeError) => void;
  signal: AbortSignal;
}

export interface Progress extends AsyncDisposable {
  agent(event: AgentEvent): void;
  runner(event: RunnerEvent): void;
}

export function openProgress(options: ProgressOptions): Progress {
  const { store, ledger, clock, isEmbedded, signal } = options;
  const fact = ledger.readFact(SEEN_FACT);
  const servers = createServerWatch({
    store,
    clock,
    host: options.host,
    seenAt: fact === undefined ? null : new Date(fact),
  });
  let wake: () => void = () => undefined;
  let isWoken = true;
  let justWritten: { key: ObjectKey; at: Date } | null = null;
  let lastServersMs = -Infinity;
  let said = "";
  let trouble = "";
  const pace = createPace(clock);

  const { user, resultsDir, onResult } = options;
  const watch = createResultsWatch({ store, user, clock, minWaitMs: options.pollMs });
  const jobFiles = createJobFilesCollector({
    store,
    user,
    ledger,
    clock,
    resultsDir,
    onFiles: (job, { files, keptAs }) => onResult({ type: "job-files", job, files, keptAs }),
  });

  /** Brings what has ended; in a bucket, of those jobs of which it is known. */
  async function collectChanged(): Promise<void> {
    const awaited = ledger.listAwaited();
    const all = new Set(awaited.map(({ job }) => job));
    const jobs = isEmbedded ? all : await watch.findChanged(all, signal);
    const before = openJobs(ledger);
    try {
      await collectAwaited({
        store,
        user,
        ledger,
        resultsDir,
        listener: onResult,
        jobs,
        signal,
      });
    } catch (error) {
      for (const job of jobs) watch.forget(job);
      throw error;
    }
    const after = openJobs(ledger);
    for (const job of before) if (!after.has(job)) jobFiles.add(job);
  }

  async function collect(): Promise<void> {
    try {
      await collectChanged();
      await jobFiles.look();
      trouble = "";
    } catch (thrown) {
      const error = asClipscribeError(thrown);
      if (!signal.aborted && error.message !== trouble) options.onTrouble(error);
      trouble = error.message;
    }
  }

  async function lookForServers(): Promise<void> {
    const nowMs = clock.monotonicMs();
    if (isEmbedded || ledger.countAwaited() === 0 || nowMs - lastServersMs < SERVERS_MS) return;
    lastServersMs = nowMs;
    try {
      const seenAt = await servers.look(justWritten, signal);
      if (seenAt !== null) ledger.writeFact(SEEN_FACT, seenAt.toISOString());
    } catch (error) {
      // Nobody can tell: nothing is called safe.
      if (!isKind(error, "denied", "transient", "cancelled")) throw error;
    }
  }

  function tellLid(): void {
    const { waiting, toHandOff } = options.counts();
    const underWay = ledger.countAwaited();
    const advice = adviseLid({
      isEmbedded,
      toHandOff: toHandOff + waiting,
      underWay,
      minutesLeft: pace.minutesLeft(toHandOff + waiting + (isEmbedded ? underWay : 0)),
      serverSeenAt: servers.seenAt,
      now: clock.now(),
    });
    const text = JSON.stringify(advice);
    if (text === said) return;
    said = text;
    options.onLid(advice);
  }

  async function loop(): Promise<void> {
    const everyMs = Math.min(LOOK_MS, options.pollMs);
    let lastMs = -Infinity;
    while (!signal.aborted) {
      const nowMs = clock.monotonicMs();
      if (isWoken || nowMs - lastMs >= everyMs) {
        isWoken = false;
        lastMs = nowMs;
        await collect();
      }
      await lookForServers();
      tellLid();
      if (isWoken) continue;
      const { promise, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(resolve, LID_MS);
      wake = resolve;
      signal.addEventListener("abort", () => resolve(), { once: true });
      await promise;
      clearTimeout(timer);
    }
  }

  const looping = loop();
  return {
    agent(event) {
      if (event.type !== "item-handed-off") return;
      const ticket = ledger.get(event.id)?.items.find(({ item }) => item === event.item)?.ticket;
      if (ticket != null) justWritten = { key: parseObjectKey(ticket), at: clock.now() };
      if (!isEmbedded) pace.ended();
    },
    runner(event) {
      if (event.type !== "item-ended") return;
      pace.ended();
      isWoken = true;
      wake();
    },
    async [Symbol.asyncDispose]() {
      await looping;
    },
  };
}

/** Jobs with items under way. */
function openJobs(ledger: DropLedger): Set<JobId> {
  const under = ledger.listAwaited().filter(({ item }) => item.outcome !== "held");
  return new Set(under.map(({ job }) => job));
}

/** How long what is left takes, by what went through since there was something to do. */
function createPace(clock: Clock): { ended(): void; minutesLeft(items: number): number | null } {
  let sinceMs: number | null = null;
  let count = 0;
  return {
    ended: () => void count++,
    minutesLeft(items) {
      const nowMs = clock.monotonicMs();
      if (items === 0) {
        sinceMs = null;
        count = 0;
        return null;
      }
      sinceMs ??= nowMs;
      return count < MIN_SAMPLES ? null : ((nowMs - sinceMs) / count / 60_000) * items;
    },
  };
}
