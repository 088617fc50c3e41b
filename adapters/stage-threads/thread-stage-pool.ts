/**
 * Stages in worker threads. A stage gets a polite abort first; one that does not end (an endless
 * loop) loses its thread.
 *
 * A pool of our own, and not a library's: an idle thread is reached by one message over the port that
 * it has anyway, where a channel a task, made, sent along and closed again, took three times as long
 * as starting the stage.
 */
import { ClipscribeError, asClipscribeError, fromErrorRecord } from "../../core/errors.ts";
import type { MadeArtifact, StageHost, StagePool, StageTask } from "../../ports/stage-pool.ts";
import type { StageChannel } from "../../ports/stage-thread.ts";
import { MAX_HEAP_MB, openStageThread } from "./stage-thread.ts";
import type { StageThread } from "./stage-thread.ts";

/** How long a stage may take to end after it was asked to. */
const GRACE_MS = 2_000;
/** A thread that was idle for so long gives its memory back. */
const IDLE_MS = 30_000;

export interface ThreadStagePoolOptions {
  /** The thread's entry: runner/stage-worker.ts, or its bundle. */
  workerPath: string;
  maxThreads: number;
  /** Answers a stage's requests over its channel; returns how to abort it. */
  serve: (channel: StageChannel, host: StageHost) => (reason: unknown) => void;
}

export function openThreadStagePool(options: ThreadStagePoolOptions): StagePool {
  const threads = new Set<StageThread>();
  /** The one that worked last is taken first: the others may end. */
  const idle: { thread: StageThread; timer: NodeJS.Timeout }[] = [];
  const waiting: Waiting[] = [];
  let isClosed = false;

  function start(): StageThread {
    const thread = openStageThread(options.workerPath);
    threads.add(thread);
    void thread.lost.then(() => {
      threads.delete(thread);
      forgetIdle(thread);
      if (!isClosed) waiting.shift()?.take(start());
    });
    return thread;
  }

  function forgetIdle(thread: StageThread): void {
    const at = idle.findIndex((each) => each.thread === thread);
    if (at !== -1) clearTimeout(idle.splice(at, 1)[0]?.timer);
  }

  function acquire(signal: AbortSignal): StageThread | Promise<StageThread> {
    const rested = idle.pop();
    clearTimeout(rested?.timer);
    if (rested !== undefined) return rested.thread;
    if (threads.size < options.maxThreads) return start();
    return waitForThread(waiting, signal);
  }

  function release(thread: StageThread): void {
    if (!threads.has(thread)) return;
    const next = waiting.shift();
    if (next !== undefined) return next.take(thread);
    const timer = setTimeout(() => {
      forgetIdle(thread);
      void thread.end();
    }, IDLE_MS).unref();
    idle.push({ thread, timer });
  }

  async function runIn(
    thread: StageThread,
    { task, host, limits }: Work,
  ): Promise<Record<string, MadeArtifact>> {
    let ended: ClipscribeError | undefined;
    let grace: NodeJS.Timeout | undefined;
    const running = thread.run(task);
    const askToEnd = options.serve(running.channel, host);
    const end = (reason: ClipscribeError): void => {
      if (ended !== undefined) return;
      ended = reason;
      askToEnd(reason);
      grace = setTimeout(() => void thread.end(), GRACE_MS);
    };
    const onAbort = (): void => end(asClipscribeError(limits.signal.reason));
    limits.signal.addEventListener("abort", onAbort, { once: true });
    const timer = setTimeout(() => end(timedOut(limits.timeoutMs)), limits.timeoutMs);
    try {
      const answer = await running.answer;
      if (answer.ok) return answer.artifacts;
      throw ended ?? fromErrorRecord(answer.error);
    } catch (error) {
      throw ended ?? describeThreadError(error);
    } finally {
      clearTimeout(timer);
      clearTimeout(grace);
      limits.signal.removeEventListener("abort", onAbort);
    }
  }

  return {
    async run(task, host, limits) {
      limits.signal.throwIfAborted();
      if (isClosed) throw closed();
      const found = acquire(limits.signal);
      const thread = found instanceof Promise ? await found : found;
      try {
        limits.signal.throwIfAborted();
        return await runIn(thread, { task, host, limits });
      } finally {
        release(thread);
      }
    },
    async close() {
      isClosed = true;
      for (const { reject } of waiting.splice(0)) reject(closed());
      await Promise.all(Array.from(threads, async (thread) => thread.end()));
    },
  };
}

interface Waiting {
  take: (thread: StageThread) => void;
  reject: (error: unknown) => void;
}

async function waitForThread(waiting: Waiting[], signal: AbortSignal): Promise<StageThread> {
  const { promise, resolve, reject } = Promise.withResolvers<StageThread>();
  const waiter: Waiting = { take: resolve, reject };
  const leave = (): void => {
    const at = waiting.indexOf(waiter);
    if (at !== -1) waiting.splice(at, 1);
    reject(asClipscribeError(signal.reason));
  };
  signal.addEventListener("abort", leave, { once: true });
  waiting.push(waiter);
  return promise.finally(() => signal.removeEventListener("abort", leave));
}

interface Work {
  task: StageTask;
  host: StageHost;
  limits: { timeoutMs: number; signal: AbortSignal };
}

function closed(): ClipscribeError {
  return new ClipscribeError("cancelled", "the stage pool is closed");
}

function timedOut(timeoutMs: number): ClipscribeError {
  return new ClipscribeError("contract", "the stage ran out of time", {
    details: { timeout_s: timeoutMs / 1000 },
    hint: "raise the stage's `timeout:` in pipeline.yaml if the file needs longer",
  });
}

function describeThreadError(error: unknown): ClipscribeError {
  const code = (error as { code?: unknown } | null)?.code;
  if (code === "ERR_WORKER_OUT_OF_MEMORY") {
    return new ClipscribeError("contract", "the stage ran out of memory", {
      details: { limit_mb: MAX_HEAP_MB },
      hint: "let it work on parts, or on files through a tool",
      cause: error,
    });
  }
  return asClipscribeError(error);
}
