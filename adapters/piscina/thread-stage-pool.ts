/**
 * Stages in worker threads, by piscina. A stage gets a polite abort first; one that does not end
 * (an endless loop) loses its thread.
 *
 * Each thread opens one port to this pool when it starts, and all that is said about its tasks goes over
 * that: a channel a task, made, sent along and closed again, took longer than starting the stage.
 */
import type { MessagePort } from "node:worker_threads";

import { Piscina } from "piscina";

import { ClipscribeError, asClipscribeError, fromErrorRecord } from "../../core/errors.ts";
import type { StageHost, StagePool } from "../../ports/stage-pool.ts";
import type {
  FromThread,
  StageChannel,
  ThreadAnswer,
  ThreadHello,
  ThreadTask,
  ToThread,
} from "../../ports/stage-thread.ts";

/** How long a stage may take to end after it was asked to. */
const GRACE_MS = 2_000;
/** A thread's JavaScript heap; a transcript of ten hours takes about 60 MB of it. */
const MAX_HEAP_MB = 1_024;
/** What is young is collected at this size: more would only be memory that nobody needs. */
const YOUNG_HEAP_MB = 8;
/** A thread that was idle for so long gives its memory back, unless it is the last one. */
const IDLE_MS = 30_000;

export interface ThreadStagePoolOptions {
  /** The thread's entry: runner/stage-worker.ts, or its bundle. */
  workerPath: string;
  maxThreads: number;
  /** Answers a stage's requests over its channel; returns how to abort it. */
  serve: (channel: StageChannel, host: StageHost) => (reason: unknown) => void;
}

/** A task that piscina has: in its queue, or begun in a thread. */
interface Running {
  begin(port: MessagePort): void;
  hear(message: unknown): void;
  end(answer: ThreadAnswer): void;
}

export function openThreadStagePool(options: ThreadStagePoolOptions): StagePool {
  const tasks = new Map<number, Running>();
  const ports = new Set<MessagePort>();
  let numbers = 0;
  let isClosed = false;
  /** Opened with the first stage: many commands have none. */
  let opened: Piscina | undefined;

  /** Who waits for a thread's word keeps the process alive, an idle thread does not. */
  function keepAlive(port: MessagePort): void {
    if (tasks.size > 0) port.ref();
    else port.unref();
  }

  function open(): Piscina {
    const piscina = new Piscina({
      filename: options.workerPath,
      // With none, piscina would start no thread for what waits when the last one is ended.
      minThreads: 1,
      maxThreads: options.maxThreads,
      idleTimeout: IDLE_MS,
      resourceLimits: {
        maxOldGenerationSizeMb: MAX_HEAP_MB,
        maxYoungGenerationSizeMb: YOUNG_HEAP_MB,
      },
      // An idle thread that waits for its event loop meets what a stage left behind; the next stage does not.
      atomics: "disabled",
      recordTiming: false,
      workerHistogram: false,
    });
    piscina.on("message", ({ port }: ThreadHello) => {
      port.on("message", (message: FromThread) => {
        const task = tasks.get(message.number);
        if (message.type === "begin") task?.begin(port);
        else if (message.type === "say") task?.hear(message.message);
        else task?.end(message.answer);
      });
      port.once("close", () => ports.delete(port));
      ports.add(port);
      keepAlive(port);
    });
    // What a stage left behind has thrown in a thread without a task: the thread is gone, nobody else is.
    piscina.on("error", () => undefined);
    return piscina;
  }

  return {
    async run(task, host, limits) {
      limits.signal.throwIfAborted();
      if (isClosed) throw new ClipscribeError("cancelled", "the stage pool is closed");
      opened ??= open();
      const number = numbers++;
      const kill = new AbortController();
      const answer = Promise.withResolvers<ThreadAnswer>();
      let thread: MessagePort | undefined;
      let hear: (message: unknown) => void = () => undefined;
      let ended: ClipscribeError | undefined;
      let timer: NodeJS.Timeout | undefined;
      const channel: StageChannel = {
        send: (message) => thread?.postMessage({ number, message } satisfies ToThread, []),
        listen: (listener) => void (hear = listener),
      };
      const askToEnd = options.serve(channel, host);
      const end = (reason: ClipscribeError): void => {
        if (ended !== undefined) return;
        ended = reason;
        clearTimeout(timer);
        // One that waits for a thread has nobody to be polite to.
        if (thread === undefined) return kill.abort(reason);
        askToEnd(reason);
        timer = setTimeout(() => kill.abort(reason), GRACE_MS);
      };
      const onAbort = (): void => end(asClipscribeError(limits.signal.reason));
      limits.signal.addEventListener("abort", onAbort, { once: true });
      tasks.set(number, {
        begin(port) {
          thread = port;
          // The wait for a thread is not the stage's time.
          if (ended === undefined)
            timer = setTimeout(() => end(timedOut(limits.timeoutMs)), limits.timeoutMs);
        },
        hear: (message) => hear(message),
        end: answer.resolve,
      });
      ports.forEach(keepAlive);
      try {
        await opened.run({ number, task } satisfies ThreadTask, { signal: kill.signal });
        // Said over the thread's port, after all else that the stage has said.
        const made = await answer.promise;
        if (made.ok) return made.artifacts;
        throw ended ?? fromErrorRecord(made.error);
      } catch (error) {
        throw ended ?? describeThreadError(error);
      } finally {
        tasks.delete(number);
        ports.forEach(keepAlive);
        clearTimeout(timer);
        limits.signal.removeEventListener("abort", onAbort);
      }
    },
    async close() {
      isClosed = true;
      await opened?.destroy();
    },
  };
}

function timedOut(timeoutMs: number): ClipscribeError {
  return new ClipscribeError("contract", "the stage ran out of time", {
    details: { timeout_s: timeoutMs / 1000 },
    hint: "raise the stage's `timeout:` in pipeline.yaml if the file needs longer",
  });
}

function describeThreadError(error: unknown): ClipscribeError {
  const { code, message } = (error ?? {}) as { code?: unknown; message?: unknown };
  if (code === "ERR_WORKER_OUT_OF_MEMORY") {
    return new ClipscribeError("contract", "the stage ran out of memory", {
      details: { limit_mb: MAX_HEAP_MB },
      hint: "let it work on parts, or on files through a tool",
      cause: error,
    });
  }
  if (typeof message === "string" && /^worker exited/i.test(message)) {
    return new ClipscribeError("contract", "the stage ended its thread", {
      hint: "a stage returns or throws; it never ends the process",
      cause: error,
    });
  }
  return asClipscribeError(error);
}
