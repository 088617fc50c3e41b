/**
 * Reads a file part by part, in order, some of them ahead of whoever works on them; the buffers are
 * those of the room that all uploads share.
 */
import { asClipscribeError } from "../core/errors.ts";
import type { PartPlan } from "./plan-parts.ts";
import type { UploadRoom } from "./upload-room.ts";

export interface PartsToRead {
  plan: PartPlan;
  sizeBytes: number;
  room: UploadRoom;
  /** Parts that are in memory at once. */
  ahead: number;
  signal: AbortSignal;
  /** Those that are not are left out. */
  isNeeded?: (number: number) => boolean;
  /** Fills the buffer from there. */
  read(buffer: Uint8Array, start: number): Promise<void>;
  /**
   * Called in the order of the parts, from 1, each before the next is read. The body is its own until
   * it has ended; the signal tells that another has failed.
   */
  work(number: number, body: Uint8Array, signal: AbortSignal): Promise<void>;
}

/** Once it returns or throws, all work has ended. @throws the first trouble there was. */
export async function eachPart(parts: PartsToRead): Promise<void> {
  const { plan, sizeBytes, room, ahead, isNeeded = () => true, read, work } = parts;
  const trouble = new AbortController();
  const signal = AbortSignal.any([parts.signal, trouble.signal]);
  const tasks = new Set<Promise<void>>();
  try {
    for (let number = 1; number <= plan.count; number++) {
      if (!isNeeded(number)) continue;
      const start = (number - 1) * plan.partBytes;
      while (tasks.size >= ahead) await Promise.race(tasks);
      const place = await room.enter(plan.partBytes, sizeBytes, signal);
      const body = place.buffer.subarray(0, Math.min(plan.partBytes, sizeBytes - start));
      try {
        await read(body, start);
      } catch (error) {
        place[Symbol.dispose]();
        throw error;
      }
      const task = work(number, body, signal)
        .catch((error: unknown) => trouble.abort(error))
        .finally(() => {
          place[Symbol.dispose]();
          tasks.delete(task);
        });
      tasks.add(task);
    }
    await Promise.all(tasks);
    signal.throwIfAborted();
  } catch (error) {
    trouble.abort(error);
    await Promise.all(tasks);
    throw parts.signal.aborted ? asClipscribeError(parts.signal.reason) : trouble.signal.reason;
  }
}
