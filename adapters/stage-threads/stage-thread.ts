/** One thread, and one stage in it at a time. A thread that fails takes its stage with it. */
import { Worker } from "node:worker_threads";

import { ClipscribeError } from "../../core/errors.ts";
import type { StageTask } from "../../ports/stage-pool.ts";
import type { FromThread, StageChannel, ThreadAnswer, ToThread } from "../../ports/stage-thread.ts";

/** A thread's JavaScript heap; a transcript of ten hours takes about 60 MB of it. */
export const MAX_HEAP_MB = 1_024;
/** What is young is collected at this size: more would only be memory that nobody needs. */
const YOUNG_HEAP_MB = 8;

export interface StageThread {
  /** One at a time. `answer` rejects where the thread ends instead. */
  run(task: StageTask): { channel: StageChannel; answer: Promise<ThreadAnswer> };
  /** Ends it whatever it does; resolves when nothing of it runs any more. */
  end(): Promise<void>;
  /** Resolves when it takes no more tasks, whatever ended it. */
  lost: Promise<void>;
}

interface Running {
  number: number;
  hear: (message: unknown) => void;
  resolve: (answer: ThreadAnswer) => void;
  reject: (error: unknown) => void;
}

export function openStageThread(path: string): StageThread {
  const worker = new Worker(path, {
    resourceLimits: {
      maxOldGenerationSizeMb: MAX_HEAP_MB,
      maxYoungGenerationSizeMb: YOUNG_HEAP_MB,
    },
  });
  const lost = Promise.withResolvers<void>();
  let running: Running | undefined;
  let failure: unknown;
  let tasks = 0;

  worker.on("message", (message: FromThread) => {
    if (running?.number !== message.number) return;
    if (message.type === "say") return running.hear(message.message);
    finish()?.resolve(message.answer);
  });
  worker.on("error", (error) => {
    failure = error;
    lost.resolve();
  });
  // Comes after an error, too. First the loss: nobody gives another task to what is not there.
  worker.on("exit", () => {
    lost.resolve();
    finish()?.reject(failure ?? leftThread());
  });

  /** An idle thread does not keep the process alive. */
  function finish(): Running | undefined {
    const done = running;
    running = undefined;
    worker.unref();
    return done;
  }

  return {
    run(task) {
      const number = tasks++;
      const { promise, resolve, reject } = Promise.withResolvers<ThreadAnswer>();
      const post = (message: ToThread): void => worker.postMessage(message, []);
      running = { number, hear: () => undefined, resolve, reject };
      worker.ref();
      try {
        post({ type: "run", number, task });
      } catch (error) {
        finish()?.reject(error);
      }
      const channel: StageChannel = {
        send: (message) => post({ type: "say", number, message }),
        listen: (hear) => {
          if (running?.number === number) running.hear = hear;
        },
      };
      return { channel, answer: promise };
    },
    async end() {
      await worker.terminate();
    },
    lost: lost.promise,
  };
}

function leftThread(): ClipscribeError {
  return new ClipscribeError("contract", "the stage ended its thread", {
    hint: "a stage returns or throws; it never ends the process",
  });
}
