/** What is to be done next. Pure: from what is known of drops to steps; nothing is decided elsewhere. */
import type { DropItem } from "../core/drop-records.ts";
import type { KeptDrop } from "../ports/drop-ledger.ts";
import type { WaitingDrop } from "./drop-state.ts";
import type { Scope } from "./troubles.ts";

export type DropStep =
  /** Of a drop that waits: look whether it stands still, probe its container, read it. */
  | { do: "look" | "probe" | "read"; name: string }
  /** Of a drop in the ledger: read what another process handed over, ask what stands behind URLs. */
  | { do: "read-spooled" | "look-up"; id: number }
  | { do: "download" | "hand-off" | "report"; id: number; item: string }
  /** Move the original to done/; note that all is handed off; note that all is done; reject it. */
  | { do: "move" | "acknowledge" | "finish" | "set-aside"; id: number };

export type StepKind = DropStep["do"];

/** One step of a key is under way at a time. */
export function keyOfStep(step: DropStep): string {
  if ("name" in step) return `waiting ${step.name}`;
  return "item" in step ? `${step.id} ${step.item}` : `${step.id}`;
}

/** Where a step can meet trouble that is not its own. */
export function scopeOfStep(step: DropStep): Scope {
  if (step.do === "hand-off" || step.do === "report") return "store";
  return step.do === "download" || step.do === "look-up" ? "network" : "folder";
}

/**
 * Steps at once. Reading is bound by the disk; of downloads each site gets fewer, by the downloader's
 * own manners; uploads share a room.
 */
export const AT_ONCE = { look: 256, read: 2, network: 6, store: 16, folder: 4 } as const;
/** Drops that the ledger holds open: what is beyond waits in the inbox, where a person can see it. */
export const MAX_OPEN_DROPS = 256;

export interface PlanInput {
  /** Those that are due, or through with looking. */
  waiting: Iterable<WaitingDrop>;
  kept: Iterable<KeptDrop>;
  /** Keys of steps under way. */
  busy: ReadonlyMap<string, StepKind>;
  /** Keys that may not be tried again yet. */
  isHeldBack: (key: string) => boolean;
  room: (scope: Scope, full: number) => number;
  sourcesStay: boolean;
  nowMs: number;
}

export function planDrops(input: PlanInput): DropStep[] {
  const { kept, busy, isHeldBack, room, sourcesStay } = input;
  const wanted: DropStep[] = [];
  let open = 0;
  const sizes = new Map<string, number>();
  for (const drop of kept) {
    open++;
    for (const step of planKept(drop, sourcesStay)) {
      wanted.push(step);
      if (step.do !== "hand-off") continue;
      const size = drop.items.find(({ name }) => name === step.item)?.source?.size ?? 0;
      const isUrgent = drop.drop.options.lane === "urgent";
      sizes.set(keyOfStep(step), isUrgent ? size - Number.MAX_SAFE_INTEGER : size);
    }
  }
  const size = (step: DropStep): number => sizes.get(keyOfStep(step)) ?? 0;
  // Small first: the more tickets, the more runners have something to do.
  const ordered = [
    ...wanted.filter((step) => step.do !== "hand-off"),
    ...wanted.filter((step) => step.do === "hand-off").toSorted((a, b) => size(a) - size(b)),
    ...[...input.waiting].flatMap((drop) => planWaiting(drop, input.nowMs)),
  ];
  const left = countRoom(busy, room, MAX_OPEN_DROPS - open);
  const steps: DropStep[] = [];
  for (const step of ordered) {
    const key = keyOfStep(step);
    if (busy.has(key) || isHeldBack(key)) continue;
    const lane = laneOf(step.do);
    if (left[lane] <= 0 || (step.do === "read" && left.open <= 0)) continue;
    left[lane]--;
    if (step.do === "read") left.open--;
    steps.push(step);
  }
  return steps;
}

function planWaiting(drop: WaitingDrop, nowMs: number): DropStep[] {
  const { name, phase } = drop;
  if (phase === "probing") return [{ do: "probe", name }];
  if (phase === "hashing") return [{ do: "read", name }];
  return drop.dueAtMs <= nowMs ? [{ do: "look", name }] : [];
}

/** Exported for its test: what a drop in the ledger needs now. */
export function planKept({ id, drop, items }: KeptDrop, sourcesStay: boolean): DropStep[] {
  const mustMove = drop.origin === "inbox" && !drop.moved;
  switch (drop.phase) {
    case "spooled":
      return [{ do: "read-spooled", id }];
    case "rejecting":
      return [{ do: "set-aside", id }];
    case "acknowledged":
      return [{ do: mustMove ? "move" : "finish", id }];
    case "hashed":
      // A job is whole before its first ticket: no runner takes a part of it for all.
      if (items.some(isUnknown)) return [{ do: "look-up", id }];
      if (mustMove && sourcesStay) return [{ do: "move", id }];
      if (items.every((item) => hasEnded(item) && !isUntold(item))) {
        return [{ do: "acknowledge", id }];
      }
      return items.flatMap((item): DropStep[] => {
        if (isUntold(item)) return [{ do: "report", id, item: item.name }];
        if (hasEnded(item)) return [];
        return [{ do: item.phase === "pending" ? "download" : "hand-off", id, item: item.name }];
      });
    case "done":
    case "rejected":
    case "gone":
      return [];
  }
}

const isUnknown = ({ item, phase }: DropItem): boolean => item === null && phase === "pending";
const hasEnded = ({ phase }: DropItem): boolean => phase === "acknowledged" || phase === "failed";

/** Failed, with an id in its job, and nobody there knows of it yet. */
const isUntold = ({ phase, item, outcome }: DropItem): boolean =>
  phase === "failed" && item !== null && outcome === null;

type RoomLane = Exclude<keyof typeof AT_ONCE, never>;

function laneOf(kind: StepKind): RoomLane {
  switch (kind) {
    case "look":
      return "look";
    case "probe":
    case "read":
    case "read-spooled":
      return "read";
    case "look-up":
    case "download":
      return "network";
    case "hand-off":
    case "report":
      return "store";
    default:
      return "folder";
  }
}

function countRoom(
  busy: ReadonlyMap<string, StepKind>,
  room: PlanInput["room"],
  open: number,
): Record<RoomLane | "open", number> {
  const left = {
    look: AT_ONCE.look,
    read: room("folder", AT_ONCE.read),
    network: room("network", AT_ONCE.network),
    store: room("store", AT_ONCE.store),
    folder: room("folder", AT_ONCE.folder),
    open,
  };
  for (const kind of busy.values()) {
    left[laneOf(kind)]--;
    if (kind === "read") left.open--;
  }
  return left;
}
