/** What the emulator is told to do wrong: by chance, but the same chances for the same seed. */
import { z } from "zod";

const share = z.number().min(0).max(1).default(0);
const milliseconds = z.number().min(0).max(600_000).default(0);

export const Faults = z.strictObject({
  seed: z.int().default(1),
  events: z
    .strictObject({
      drop: share,
      double: share,
      /** Events are late by up to so much. */
      delay_ms: milliseconds,
      /** Share of events that are held back past the next one. */
      reorder: share,
    })
    .prefault({}),
  s3: z
    .strictObject({
      "429": share,
      "500": share,
      "503": share,
      /** The connection is cut: half of the times before the work, half of them after it. */
      reset: share,
      stall: share,
      stall_ms: milliseconds,
      /** Reads of keys that begin so are never answered: a connection lost without a word. */
      hang: z.string().default(""),
      /** A put's or a part's answer names another ETag than that of its bytes. */
      wrong_etag: share,
      /** A byte of a body that is read is another on its way. */
      damage_get: share,
      /** Complete answers 200, with an error in the body; nothing was completed. */
      complete_error: share,
      /** Something else answers: 200 and a page to sign in. */
      portal: share,
      /** R2: one write a second and key, else 429. */
      write_rate: z.boolean().default(false),
      /** A store that takes conditions and does not heed them: there are such. */
      ignore_conditions: z.boolean().default(false),
    })
    .prefault({}),
  queues: z
    .strictObject({
      "429": share,
      "500": share,
      reset: share,
      stall: share,
      stall_ms: milliseconds,
      /** Pulls answer 409, as those of a paused queue. */
      paused: z.boolean().default(false),
      /** Nobody may pull: the queues have no HTTP pull consumer. */
      no_consumer: z.boolean().default(false),
      /** The day's free operations are used up. */
      spent: z.boolean().default(false),
      /** How bodies arrive: nobody has documented it for R2's events. */
      encoding: z.enum(["plain", "base64"]).default("base64"),
    })
    .prefault({}),
});
export type Faults = z.output<typeof Faults>;

export type Trouble =
  | { kind: "status"; status: 429 | 500 | 503 }
  | { kind: "reset"; after: boolean }
  | null;

export interface FaultPlan {
  faults: Faults;
  set(faults: Faults): void;
  chance(share: number): boolean;
  /** A whole number below `limit`. */
  below(limit: number): number;
  /** The ETag that an answer names, quoted. */
  etagSaid(etag: string): string;
  /** What happens to this request instead of, or after, its work. */
  troubleFor(api: "s3" | "queues"): Trouble;
}

export function createFaultPlan(): FaultPlan {
  let faults = Faults.parse({});
  let state = faults.seed;
  /** Mulberry32: short, and good enough to choose a fault. */
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
  const chance = (share: number): boolean => share > 0 && next() < share;
  return {
    get faults() {
      return faults;
    },
    set(wanted) {
      faults = wanted;
      state = wanted.seed;
    },
    chance,
    below: (limit) => Math.floor(next() * limit),
    etagSaid: (etag) => (chance(faults.s3.wrong_etag) ? `"${"0".repeat(32)}"` : `"${etag}"`),
    troubleFor(api) {
      const shares = faults[api];
      if (chance(shares["429"])) return { kind: "status", status: 429 };
      if (chance(shares["500"])) return { kind: "status", status: 500 };
      if ("503" in shares && chance(shares["503"])) return { kind: "status", status: 503 };
      return chance(shares.reset) ? { kind: "reset", after: chance(0.5) } : null;
    },
  };
}

/** Another first byte. */
export function damaged(chunk: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(chunk);
  copy[0] = (copy[0] ?? 0) ^ 1;
  return copy;
}
