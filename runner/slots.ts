/** Counted slots: how many stages of a pool, or items, run at once in this process. */
export interface Slots {
  /** Waits for a free slot, first come first served. @throws the signal's reason. */
  acquire(signal: AbortSignal): Promise<Disposable>;
  readonly size: number;
  readonly free: number;
}

export function createSlots(size: number): Slots {
  let free = size;
  const waiting: (() => void)[] = [];

  const release = (): void => {
    const next = waiting.shift();
    if (next === undefined) free++;
    else next();
  };
  const grant = (): Disposable => {
    let released = false;
    return {
      [Symbol.dispose]() {
        if (released) return;
        released = true;
        release();
      },
    };
  };

  return {
    size,
    get free() {
      return free;
    },
    async acquire(signal) {
      signal.throwIfAborted();
      if (free > 0) {
        free--;
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

export type Pools = (name: string) => Slots;

/** Pools that a pipeline names, and `cpu` for the rest: as many as the machine has cores. */
export function createPools(sizes: Record<string, number | "cores">, cores: number): Pools {
  const pools = new Map<string, Slots>();
  return (name) => {
    let pool = pools.get(name);
    if (pool === undefined) {
      const size = sizes[name] ?? "cores";
      pool = createSlots(size === "cores" ? cores : size);
      pools.set(name, pool);
    }
    return pool;
  };
}
