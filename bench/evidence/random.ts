/** Repeatable chance: the same seed gives the same set on any machine. */
export interface Random {
  /** 0 ≤ x < 1. */
  next(): number;
  /** 0 ≤ n < below. */
  int(below: number): number;
  pick<Value>(values: readonly Value[]): Value;
  shuffle<Value>(values: readonly Value[]): Value[];
}

/** mulberry32, by Tommy Ettinger; public domain. */
export function openRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
  const int = (below: number): number => Math.floor(next() * below);
  return {
    next,
    int,
    pick: (values) => {
      if (values.length === 0) throw new Error("nothing to pick from");
      return values[int(values.length)] as (typeof values)[number];
    },
    shuffle: (values) => {
      const all = [...values];
      for (let at = all.length - 1; at > 0; at--) {
        const other = int(at + 1);
        [all[at], all[other]] = [
          all[other] as (typeof all)[number],
          all[at] as (typeof all)[number],
        ];
      }
      return all;
    },
  };
}
