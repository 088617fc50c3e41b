/**
 * Stages in worker threads, by piscina. A stage gets a polite abort first; one that does not end
 * (an endless loop) loses its thread.
 */
import { MessageChannel } from "node:worker_threads";
import type { MessagePort } from "node:worker_threads";

import { Piscina } from "piscina";

import { ClipscribeError, asClipscribeError, fromErrorRecord } from "../../core/errors.ts";
import type { ErrorRecord } from "../../core/errors.ts";
import type { MadeArtifact, StageHost, StagePool } from "../../ports/stage-pool.ts";

/** How long a stage may take to end after it was asked to. */
const GRACE_MS = 2_000;
/** A thread's JavaScript heap; a transcript of ten hours takes about 60 MB of it. */
const MAX_HEAP_MB = 1_024;
/** What is young is collected at this size: more would only be memory that nobody needs. */
const YOUNG_HEAP_MB = 8;
/** A thread that was idle for so long gives its memory back. */
const IDLE_MS = 30_000;

export interface ThreadStagePoolOptions {
  /** The thread's entry: runner/stage-worker.ts, or its bundle. */
  workerPath: string;
  maxThreads: number;
  /** Answers a stage's requests over the port; returns how to abort it. */
  serve: (port: MessagePort, host: StageHost) => (reason: unknown) => void;
}

type WorkerAnswer =
  | { ok: true; artifacts: Record<string, MadeArtifact> }
  | { ok: false; error: ErrorRecord };

export function openThreadStagePool(options: ThreadStagePoolOptions): StagePool {
  const piscina = new Piscina({
    filename: options.workerPath,
    minThreads: 0,
    maxThreads: options.maxThreads,
    idleTimeout: IDLE_MS,
    resourceLimits: {
      maxOldGenerationSizeMb: MAX_HEAP_MB,
      maxYoungGenerationSizeMb: YOUNG_HEAP_MB,
    },
    recordTiming: false,
    workerHistogram: false,
  });

  return {
    async run(task, host, limits) {
      limits.signal.throwIfAborted();
      const { port1, port2 } = new MessageChannel();
      const kill = new AbortController();
      const askToEnd = options.serve(port1, host);
      let ended: ClipscribeError | undefined;
      let grace: NodeJS.Timeout | undefined;
      const end = (reason: ClipscribeError): void => {
        if (ended !== undefined) return;
        ended = reason;
        askToEnd(reason);
        grace = setTimeout(() => kill.abort(reason), GRACE_MS);
      };
      const onAbort = (): void => end(asClipscribeError(limits.signal.reason));
      limits.signal.addEventListener("abort", onAbort, { once: true });
      const timer = setTimeout(() => end(timedOut(limits.timeoutMs)), limits.timeoutMs);
      try {
        const answer = (await piscina.run(
          { ...task, port: port2 },
          { transferList: [port2], signal: kill.signal },
        )) as WorkerAnswer;
        if (answer.ok) return answer.artifacts;
        throw ended ?? fromErrorRecord(answer.error);
      } catch (error) {
        throw ended ?? describeThreadError(error);
      } finally {
        clearTimeout(timer);
        clearTimeout(grace);
        limits.signal.removeEventListener("abort", onAbort);
        port1.close();
      }
    },
    close: () => piscina.destroy(),
  };
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
