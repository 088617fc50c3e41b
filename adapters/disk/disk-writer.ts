/**
 * The store's side of write-thread.ts. A thread takes a put off the hands of one that has others to
 * serve meanwhile, at the price of two messages: worth it where several are under way at once, and for
 * long enough that its start pays off. Orders of one turn go together.
 */
import { Worker } from "node:worker_threads";

import type { WriteAnswer, WriteOrder } from "./write-thread.ts";

/** So many puts under way at once are a crowd. */
const CROWD = 2;
/** So many puts in a crowd are a load: a run of a few files has none. */
const MIN_LOAD = 200;

export interface DiskWriter {
  /** Asked for every put: whether a thread should do it, as so many are under way. */
  isWanted(underWay: number): boolean;
  /** Resolves to the system's code where it failed: nothing of it is left then. */
  carryOut(order: WriteOrder, body?: Uint8Array): Promise<string | null>;
  close(): Promise<void>;
}

/** `threadPath`: adapters/disk/write-thread.ts, or its bundle. */
export function openDiskWriter(threadPath: string): DiskWriter {
  const waiting = new Map<number, (code: string | null) => void>();
  let orders: WriteOrder[] = [];
  let bodies: Uint8Array[] = [];
  let next = 0;
  let crowded = 0;
  let thread: Worker | undefined;
  let isOnline = false;

  function start(): Worker {
    const worker = new Worker(threadPath);
    worker.unref();
    worker.on("online", () => (isOnline = true));
    worker.on("message", (answers: WriteAnswer[]) => {
      for (const [order, code] of answers) settle(order, code);
    });
    const end = (): void => {
      isOnline = false;
      // Whoever asked does it without a thread; there will be no other.
      for (const order of [...waiting.keys()]) settle(order, "ETHREAD");
    };
    worker.on("error", end).on("exit", end);
    return worker;
  }

  function settle(order: number, code: string | null): void {
    waiting.get(order)?.(code);
    waiting.delete(order);
    // Who waits for an answer keeps the process alive, an idle thread does not.
    if (waiting.size === 0) thread?.unref();
  }

  function send(): void {
    const bytes = new Uint8Array(bodies.reduce((sum, body) => sum + body.length, 0));
    let at = 0;
    for (const body of bodies) {
      bytes.set(body, at);
      at += body.length;
    }
    thread?.ref();
    thread?.postMessage({ first: next - orders.length, orders, bytes }, [bytes.buffer]);
    orders = [];
    bodies = [];
  }

  return {
    isWanted(underWay) {
      if (underWay < CROWD) return false;
      if (++crowded >= MIN_LOAD) thread ??= start();
      return isOnline;
    },
    carryOut: (order, body) =>
      new Promise((resolve) => {
        waiting.set(next++, resolve);
        if (body !== undefined) bodies.push(body);
        if (orders.push(order) === 1) setImmediate(send);
      }),
    close: async () => void (await thread?.terminate()),
  };
}
