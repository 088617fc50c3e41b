/**
 * File digests in two threads, one for the parts and one for the wholes: together they keep up with a
 * disk, and who reads and sends is not held up. Threads start with the first large file and end
 * when none is read for a while.
 */
import { Worker } from "node:worker_threads";

import { ClipscribeError } from "../../core/errors.ts";
import type { Sha256 } from "../../core/ids.ts";
import type { FileDigester, OpenDigester, PartDigest } from "../../ports/file-digester.ts";
import type { DigestRequest } from "./digest-thread.ts";

const IDLE_MS = 10_000;

export interface DigestThreads extends AsyncDisposable {
  open: OpenDigester;
}

/** `threadPath`: adapters/system/digest-thread.ts, or its bundle. */
export function openDigestThreads(threadPath: string): DigestThreads {
  let threads: { parts: Thread; wholes: Thread } | undefined;
  let idle: NodeJS.Timeout | undefined;
  let openFiles = 0;
  let fileCount = 0;

  function acquire(): { parts: Thread; wholes: Thread } {
    clearTimeout(idle);
    openFiles++;
    threads ??= { parts: new Thread(threadPath), wholes: new Thread(threadPath) };
    return threads;
  }

  function release(): void {
    if (--openFiles > 0) return;
    idle = setTimeout(() => void close(), IDLE_MS).unref();
  }

  async function close(): Promise<void> {
    clearTimeout(idle);
    const ended = threads;
    threads = undefined;
    await Promise.all([ended?.parts.end(), ended?.wholes.end()]);
  }

  function open(alone: PartDigest): FileDigester {
    const file = ++fileCount;
    const used = acquire();
    let isOpen = true;
    const leave = (): void => {
      if (isOpen) release();
      isOpen = false;
    };
    return {
      async add(part) {
        const [digest] = await Promise.all([
          used.parts.ask({ digest: alone, part }),
          used.wholes.ask({ file, part }),
        ]);
        return digest;
      },
      async finish() {
        const whole = used.wholes.ask({ file, part: null });
        return whole.finally(leave) as Promise<Sha256>;
      },
      drop() {
        if (isOpen) used.wholes.tell({ drop: file });
        leave();
      },
    };
  }

  return { open, [Symbol.asyncDispose]: close };
}

/** One worker; its answers come in the order of the requests. */
class Thread {
  readonly #worker: Worker;
  readonly #asked: { resolve: (digest: string) => void; reject: (error: unknown) => void }[] = [];
  #ended: ClipscribeError | undefined;

  constructor(path: string) {
    this.#worker = new Worker(path);
    this.#worker.unref();
    this.#worker.on("message", (digest: string) => this.#asked.shift()?.resolve(digest));
    this.#worker.on("error", (cause) => this.#fail(cause));
    this.#worker.on("exit", () => this.#fail(undefined));
  }

  async ask(request: DigestRequest): Promise<string> {
    if (this.#ended !== undefined) throw this.#ended;
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    this.#asked.push({ resolve, reject });
    // Who waits for an answer keeps the process alive, an idle thread does not.
    if (this.#asked.length === 1) this.#worker.ref();
    this.tell(request);
    return promise.finally(() => {
      if (this.#asked.length === 0) this.#worker.unref();
    });
  }

  tell(request: DigestRequest): void {
    this.#worker.postMessage(request, []);
  }

  async end(): Promise<void> {
    await this.#worker.terminate();
  }

  #fail(cause: unknown): void {
    this.#ended ??= new ClipscribeError("transient", "the thread that computes hashes has ended", {
      cause,
    });
    for (const { reject } of this.#asked.splice(0)) reject(this.#ended);
  }
}
