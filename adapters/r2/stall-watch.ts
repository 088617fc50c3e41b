/**
 * A body on its way out in small pieces: a link on which none moves is given up soon, and one that is
 * only slow never is.
 */
import type { Readable } from "node:stream";

import type { SendOptions } from "../../ports/object-store.ts";

/** Four parts share a link of 64 kbit/s: a piece of each leaves in half a minute. */
const MIN_PIECE_BYTES = 64 * 1024;
/** A fast link takes larger ones: every piece costs a turn of the event loop. */
const MAX_PIECE_BYTES = 256 * 1024;
/** A piece that is gone in this time is followed by one of twice the size. */
const FAST_MS = 20;

/** What is one piece goes as it is. */
export async function bodyOf(
  body: Uint8Array,
  watch: StallWatch,
  beforeBytes: SendOptions["beforeBytes"],
): Promise<Uint8Array | Readable> {
  if (body.length > MIN_PIECE_BYTES) {
    // Any async iterable will do; its types name only Node's streams.
    return inPieces(body, watch, beforeBytes) as unknown as Readable;
  }
  await beforeBytes?.(body.length);
  watch.start();
  watch.sentAll();
  return body;
}

async function* inPieces(
  body: Uint8Array,
  watch: StallWatch,
  beforeBytes: SendOptions["beforeBytes"],
): AsyncGenerator<Uint8Array> {
  watch.start();
  let pieceBytes = MIN_PIECE_BYTES;
  for (let at = 0; at < body.length;) {
    const piece = body.subarray(at, at + pieceBytes);
    // A connection that has ended asks for one more: that one does not leave.
    watch.throwIfGivenUp();
    const startedMs = performance.now();
    // Who waits for the pace does not stand still.
    watch.pause();
    await beforeBytes?.(piece.length);
    watch.moved();
    yield piece;
    at += piece.length;
    const isFast = performance.now() - startedMs < FAST_MS;
    pieceBytes = isFast ? Math.min(MAX_PIECE_BYTES, pieceBytes * 2) : MIN_PIECE_BYTES;
  }
  watch.sentAll();
}

/**
 * Ends a request when nothing moves, from the first piece on: before it, a connection is waited for,
 * which has its own limit, or a turn among many. What was handed to the system may still wait there
 * to be sent.
 */
export class StallWatch {
  readonly #stallMs: number;
  readonly #theirs: AbortSignal | undefined;
  readonly #follow = (): void => this.#giveUp(this.#theirs?.reason);
  #give: ((reason: Error) => void) | undefined;
  #givenUp: Error | undefined;
  #isOver = false;
  #startedMs = 0;
  #timer: NodeJS.Timeout | undefined;
  isStalled = false;

  constructor(stallMs: number, theirs: AbortSignal | undefined) {
    this.#stallMs = stallMs;
    this.#theirs = theirs;
    // Cheaper than `AbortSignal.any`, thousands of times.
    theirs?.addEventListener("abort", this.#follow, { once: true });
    if (theirs?.aborted === true) this.#follow();
  }

  /** What ends with it. */
  guard(abort: (reason: Error) => void): void {
    this.#give = abort;
    if (this.#givenUp !== undefined) abort(this.#givenUp);
  }

  throwIfGivenUp(): void {
    if (this.#givenUp !== undefined) throw this.#givenUp;
  }

  start(): void {
    this.#startedMs = performance.now();
  }

  moved(): void {
    this.#wait(this.#stallMs);
  }

  pause(): void {
    clearTimeout(this.#timer);
  }

  /** A link that took minutes for the body may take as long for what is left in buffers. */
  sentAll(): void {
    this.#wait(this.#stallMs + performance.now() - this.#startedMs);
  }

  /** A body may be asked for its next piece even then. */
  end(): void {
    clearTimeout(this.#timer);
    this.#isOver = true;
    this.#theirs?.removeEventListener("abort", this.#follow);
  }

  #wait(ms: number): void {
    clearTimeout(this.#timer);
    if (this.#isOver) return;
    this.#timer = setTimeout(() => {
      this.isStalled = true;
      this.#giveUp(new Error("nothing moves"));
    }, ms);
  }

  #giveUp(reason: unknown): void {
    if (this.#givenUp !== undefined || this.#isOver) return;
    this.#givenUp = reason instanceof Error ? reason : new Error("aborted", { cause: reason });
    this.#give?.(this.#givenUp);
  }
}
