/**
 * The plan of a night: what is dropped when, and what goes wrong when and with whom. Made of the seed
 * alone, before anything runs, so that the same SEED is the same night on any machine.
 */
import { openRandom } from "./evidence/random.ts";

export interface NightItem {
  name: string;
  /** How long its first stage takes. */
  ms: number;
}

export interface NightJob {
  id: string;
  lane: "urgent" | "batch";
  /** Milliseconds since the night began, as all instants here. */
  atMs: number;
  items: NightItem[];
}

export type Disturbance =
  | { atMs: number; what: "kill"; slot: number }
  | { atMs: number; what: "stop"; slot: number }
  | { atMs: number; what: "replay"; job: string; item: string }
  /** Stopped by a person, who changes their mind soon. */
  | { atMs: number; what: "cancel"; job: string }
  | { atMs: number; what: "resume"; job: string };

export interface NightPlan {
  jobs: NightJob[];
  disturbances: Disturbance[];
}

export interface NightOptions {
  seed: number;
  items: number;
  runners: number;
  /** No fault begins after this. */
  faultsMs: number;
}

const ITEMS_A_JOB = 40;
/** Work comes as long as faults do, but for the last part of it. */
const DROPS_SHARE = 0.75;
const DISTURBANCE_MS = 6_000;
/** Nothing is replayed or cancelled sooner after its drop: it would not be there yet. */
const SETTLED_MS = 8_000;

const CHANGED_MIND_MS = 12_000;
/** Of chances from 0 to 1: what happens to whom. */
const KILL_BELOW = 0.5;
const REPLAY_FROM = 0.8;

export function planNight({ seed, items, runners, faultsMs }: NightOptions): NightPlan {
  const random = openRandom(seed);
  const count = Math.ceil(items / ITEMS_A_JOB);
  const jobs = Array.from({ length: count }, (_, index): NightJob => {
    const first = index * ITEMS_A_JOB;
    return {
      id: `20261124-2200-night-${String(first).padStart(4, "0")}`,
      lane: index % 2 === 0 ? "urgent" : "batch",
      atMs: Math.round((index * faultsMs * DROPS_SHARE) / count),
      items: Array.from({ length: Math.min(ITEMS_A_JOB, items - first) }, (__, at) => ({
        name: `item-${first + at}`,
        ms: Math.round(random.next() < 0.1 ? 2_000 + random.next() * 3_000 : random.next() * 600),
      })),
    };
  });
  const settledAt = (atMs: number): NightJob[] =>
    jobs.filter((job) => job.atMs + SETTLED_MS < atMs);
  const disturbances: Disturbance[] = [];
  for (let ms = 3_000; ms < faultsMs; ms += DISTURBANCE_MS * (0.5 + random.next())) {
    const atMs = Math.round(ms);
    const chance = random.next();
    const slot = random.int(runners);
    const settled = settledAt(atMs);
    if (chance >= REPLAY_FROM && settled.length > 0) {
      const job = random.pick(settled);
      const item = random.pick(job.items).name;
      disturbances.push({ atMs, what: "replay", job: job.id, item });
    } else disturbances.push({ atMs, what: chance < KILL_BELOW ? "kill" : "stop", slot });
  }
  const atMs = Math.round(faultsMs * (0.4 + random.next() * 0.4));
  const last = settledAt(atMs).at(-1);
  if (last !== undefined) {
    const item = random.pick(last.items).name;
    disturbances.push({ atMs: atMs - 1, what: "replay", job: last.id, item });
    disturbances.push({ atMs, what: "cancel", job: last.id });
    disturbances.push({ atMs: atMs + CHANGED_MIND_MS, what: "resume", job: last.id });
  }
  return { jobs, disturbances: disturbances.toSorted((a, b) => a.atMs - b.atMs) };
}
