/**
 * A thread that puts new objects in place for a disk store under load: what the store does itself as
 * long as nobody waits for its thread. Orders come many at a time, and are answered so.
 */
import { parentPort } from "node:worker_threads";

import { codeOf } from "./disk-error.ts";
import { realDiskFs } from "./disk-fs.ts";
import { ignoreTrouble } from "./temporary-files.ts";

export type WriteOrder =
  /** Its bytes are the next `length` of the batch. `isNew`: nothing may be there. */
  | { to: string; temporary: string; length: number; isFlushed: boolean; isNew: boolean }
  | { to: string; linkOf: string };

export interface WriteBatch {
  /** Number of the first order; the others follow. */
  first: number;
  orders: WriteOrder[];
  bytes: Uint8Array;
}

/** The order's number, and the system's code where it failed: nothing of it is left then. */
export type WriteAnswer = [order: number, code: string | null];

const answers: WriteAnswer[] = [];

parentPort?.on("message", ({ first, orders, bytes }: WriteBatch) => {
  let at = 0;
  for (const [index, order] of orders.entries()) {
    const length = "length" in order ? order.length : 0;
    const body = bytes.subarray(at, at + length);
    at += length;
    void carryOut(order, body).then(
      () => answer([first + index, null]),
      (error: unknown) => answer([first + index, codeOf(error)]),
    );
  }
});

async function carryOut(order: WriteOrder, body: Uint8Array): Promise<void> {
  if ("linkOf" in order) return realDiskFs.link(order.linkOf, order.to);
  const { to, temporary, isFlushed, isNew } = order;
  try {
    await realDiskFs.writeNew(temporary, body, isFlushed);
    if (!isNew) return realDiskFs.rename(temporary, to);
    realDiskFs.link(temporary, to);
  } catch (error) {
    ignoreTrouble(() => realDiskFs.unlink(temporary));
    throw error;
  }
  ignoreTrouble(() => realDiskFs.unlink(temporary));
}

function answer(each: WriteAnswer): void {
  if (answers.push(each) > 1) return;
  setImmediate(() => parentPort?.postMessage(answers.splice(0), []));
}
