/**
 * One request and its whole answer. `Pool.request` makes a stream of every answer, which costs more than all
 * the rest of a small put; here chunks are collected as they come.
 */
import type { IncomingHttpHeaders } from "node:http";

import type { Dispatcher } from "undici";

export interface Answer {
  statusCode: number;
  headers: IncomingHttpHeaders;
  body: Buffer;
}

export interface Asked {
  answer: Promise<Answer>;
  /** `answer` rejects with this, whether or not the request has left. */
  abort(reason: Error): void;
}

export function askBucket(pool: Dispatcher, request: Dispatcher.DispatchOptions): Asked {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const collector = new Collector(resolve, reject);
  pool.dispatch(request, collector);
  return { answer: promise, abort: (reason) => collector.abort(reason) };
}

class Collector implements Dispatcher.DispatchHandler {
  readonly #resolve: (answer: Answer) => void;
  readonly #reject: (error: Error) => void;
  readonly #chunks: Buffer[] = [];
  #controller: Dispatcher.DispatchController | undefined;
  #aborted: Error | undefined;
  #statusCode = 0;
  #headers: IncomingHttpHeaders = {};

  constructor(resolve: (answer: Answer) => void, reject: (error: Error) => void) {
    this.#resolve = resolve;
    this.#reject = reject;
  }

  abort(reason: Error): void {
    this.#aborted = reason;
    this.#reject(reason);
    this.#controller?.abort(reason);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    // Who gave up while it waited for its turn.
    if (this.#aborted !== undefined) controller.abort(this.#aborted);
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    statusCode: number,
    headers: IncomingHttpHeaders,
  ): void {
    // Of a 100 or 103 there may be several before the answer.
    this.#statusCode = statusCode;
    this.#headers = headers;
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#chunks.push(chunk);
  }

  onResponseEnd(): void {
    // A copy: a chunk of a few bytes keeps 64 KiB in memory.
    const body = Buffer.concat(this.#chunks);
    this.#resolve({ statusCode: this.#statusCode, headers: this.#headers, body });
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.#reject(error);
  }
}
