/** Named pools of slots: how many stages run at once, in this process and in the whole fleet. */
import { createSlots } from "../core/slots.ts";
import type { Slots } from "../core/slots.ts";

/** Where this runner stands among those that live. */
export interface FleetPlace {
  /** Living runners, this one included. */
  size: number;
  /** From 0: how many of them come before it by their ids. */
  rank: number;
}

/** This runner's part of a pool: the parts of all together are the pool, if it has one for each. */
export function shareOf(slots: number, { size, rank }: FleetPlace): number {
  return Math.max(1, Math.floor(slots / size) + (rank < slots % size ? 1 : 0));
}

export interface Pools {
  (name: string): Slots;
  /** The fleet has changed. */
  adjust(): void;
}

/**
 * Pools that a pipeline names, and `cpu` for the rest. A number is for the fleet, of which this
 * runner takes its share; `cores` is this machine's own. `undefined`: who else lives is not known
 * yet.
 */
export function createPools(
  sizes: Record<string, number | "cores">,
  cores: number,
  place: () => FleetPlace | undefined = () => ({ size: 1, rank: 0 }),
): Pools {
  const pools = new Map<string, Slots>();
  const sizeOf = (name: string): number => {
    const size = sizes[name] ?? "cores";
    if (size === "cores") return cores;
    const known = place();
    return known === undefined ? 1 : shareOf(size, known);
  };
  const find = (name: string): Slots => {
    const pool = pools.get(name) ?? createSlots(() => sizeOf(name));
    pools.set(name, pool);
    return pool;
  };
  return Object.assign(find, {
    adjust: () => {
      for (const pool of pools.values()) pool.adjust();
    },
  });
}
