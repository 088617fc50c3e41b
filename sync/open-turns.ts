/** So many at once; who comes later waits, first come first served. */
export interface Turns {
  take(): Promise<Disposable>;
}

export function openTurns(atOnce: number): Turns {
  let free = atOnce;
  const waiting: (() => void)[] = [];
  return {
    async take() {
      if (free > 0) free--;
      else await new Promise<void>((resolve) => waiting.push(resolve));
      return {
        [Symbol.dispose]() {
          // A turn goes on to the next without becoming free in between.
          const next = waiting.shift();
          if (next === undefined) free++;
          else next();
        },
      };
    },
  };
}
