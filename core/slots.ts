/** Counted slots: so many at once, whoever comes later waits. */
export interface Slots {
  /** Waits for a free slot, first come first served. @throws the signal's reason. */
  acquire(signal: AbortSignal): Promise<Disposable>;
  /** Starts who waits, where there is more room by now. */
  adjust(): void;
  readonly size: number;
  readonly free: number;
}

/** `size` may change at any time; who has a slot keeps it. */
export function createSlots(size: () => number): Slots {
  let taken = 0;
  const waiting: (() => void)[] = [];

  function adjust(): void {
    while (waiting.length > 0 && taken < size()) {
      taken++;
      waiting.shift()?.();
    }
  }
  const grant = (): Disposable => {
    let released = false;
    return {
      [Symbol.dispose]() {
        if (released) return;
        released = true;
        taken--;
        adjust();
      },
    };
  };

  return {
    adjust,
    get size() {
      return size();
    },
    get free() {
      return Math.max(0, size() - taken);
    },
    async acquire(signal) {
      signal.throwIfAborted();
      if (waiting.length === 0 && taken < size()) {
        taken++;
        return grant();
      }
      await new Promise<void>((resolve, reject) => {
        const onAbort = (): void => {
          waiting.splice(waiting.indexOf(start), 1);
          reject(signal.reason as Error);
        };
        const start = (): void => {
          signal.removeEventListener("abort", onAbort);
          resolve();
        };
        waiting.push(start);
        signal.addEventListener("abort", onAbort, { once: true });
      });
      return grant();
    },
  };
}
