/**
 * The agent: sees drops, brings them to their tickets, and moves the originals. Events of the folder
 * only record (`observe`); one loop plans (`planDrops`) and begins what was planned. Nothing is
 * remembered but in the ledger, so it can be killed at any point.
 */
import { asClipscribeError, isKind, toErrorRecord } from "../core/errors.ts";
import type { ClipscribeError } from "../core/errors.ts";
import type { KeptDrop } from "../ports/drop-ledger.ts";
import type { FolderWatch } from "../ports/folder-watch.ts";
import type { AgentWorld } from "./agent-world.ts";
import {
  describeFailure,
  downloadItem,
  handOffItem,
  jobOf,
  lookUpUrls,
  moveToDone,
  reportItem,
  setAside,
} from "./apply-kept.ts";
import { applyWaiting } from "./apply-waiting.ts";
import { createInbox } from "./inbox.ts";
import type { Inbox } from "./inbox.ts";
import { AT_ONCE, keyOfStep, planDrops, scopeOfStep } from "./plan-drops.ts";
import type { DropStep, StepKind } from "./plan-drops.ts";
import { readDrop } from "./read-drop.ts";
import { createTroubles } from "./troubles.ts";
import type { Troubles } from "./troubles.ts";

/** Other processes' work is looked for so often, and a sleep of the machine is noticed. */
const TICK_MS = 1_000;
/** A clock that ran so much further than the other: the machine slept. */
const SLEPT_MS = 10_000;
/** An item that others of its kind overtake so often is at fault itself. */
const MAX_TRIES = 6;
/** The longest that steps under way may take to end once they are told to. */
const STOP_MS = 20_000;

export interface AgentCounts {
  /** In the inbox, not handed off: also what is still copied. */
  waiting: number;
  /** Items of drops in the ledger that have no ticket yet. */
  toHandOff: number;
}

export interface Agent extends AsyncDisposable {
  /** Resolves once everything that was in the inbox at the start has been seen. */
  readonly ready: Promise<void>;
  readonly counts: AgentCounts;
  /** Looks for spooled work and takes it up now. */
  wake(): void;
  /** Resolves when nothing is left to do but to wait for new drops (for a one-off, and tests). */
  idle(): Promise<void>;
}

interface State {
  world: AgentWorld;
  inbox: Inbox;
  troubles: Troubles;
  /** Open drops of the ledger, by number. */
  kept: Map<number, KeptDrop>;
  busy: Map<string, StepKind>;
  signal: AbortSignal;
  wake: () => void;
}

export function openAgent(world: AgentWorld): Agent {
  const { clock, ledger, listener } = world;
  const stopping = new AbortController();
  const running = new Set<Promise<void>>();
  let wakeUp: () => void = () => undefined;
  let isAwake = true;
  const state: State = {
    world,
    troubles: createTroubles(
      {
        onTrouble: (scope, error) => listener({ type: "trouble", scope, error }),
        onOver: (scope, lastedMs) => listener({ type: "trouble-over", scope, lastedMs }),
      },
      world.random,
    ),
    kept: new Map(ledger.listOpen().map((kept) => [kept.id, kept])),
    busy: new Map(),
    signal: stopping.signal,
    wake() {
      isAwake = true;
      wakeUp();
    },
    inbox: undefined as unknown as Inbox,
  };
  state.inbox = createInbox(world, (name) => isOpen(state, name));
  const watch = world.openWatch(world.folders.inbox, {
    onHint(path) {
      state.inbox.observe(path);
      state.wake();
    },
    onMode: (mode) => listener({ type: "watching", mode }),
    onTrouble(error) {
      const now = clock.monotonicMs();
      if (error === null) state.troubles.succeeded("inbox", "folder", now);
      else state.troubles.failed("inbox", "folder", asClipscribeError(error), now);
    },
  });
  let idlers: (() => void)[] = [];

  async function loop(): Promise<void> {
    let lastSeen = { wallMs: clock.now().getTime(), monotonicMs: clock.monotonicMs() };
    let lastSpoolMs = -Infinity;
    while (!stopping.signal.aborted) {
      isAwake = false;
      const nowMs = clock.monotonicMs();
      lastSeen = noticeSleep(state, watch, lastSeen);
      if (nowMs - lastSpoolMs >= TICK_MS) {
        lastSpoolMs = nowMs;
        survive(state, "spool", () => takeSpooled(state));
      }
      const steps = planNext(state, nowMs);
      for (const step of steps) begin(state, step, running);
      if (isIdle(state)) {
        for (const resolve of idlers) resolve();
        idlers = [];
      }
      await pause(nextWakeMs(state, nowMs));
    }
  }

  /** Until something happened, or something is due. */
  async function pause(ms: number): Promise<void> {
    if (isAwake || stopping.signal.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, ms);
    wakeUp = resolve;
    await promise;
    clearTimeout(timer);
  }

  const looping = loop();
  return {
    ready: watch.ready.then(() => undefined),
    get counts() {
      return countWork(state);
    },
    wake() {
      takeSpooled(state);
      state.wake();
    },
    idle: async () =>
      new Promise((resolve) => {
        idlers.push(resolve);
        state.wake();
      }),
    async [Symbol.asyncDispose]() {
      stopping.abort();
      state.wake();
      await looping;
      const late = new Promise<void>((resolve) => setTimeout(resolve, STOP_MS).unref());
      await Promise.race([Promise.allSettled(running), late]);
      await watch[Symbol.asyncDispose]();
    },
  };
}

/** A drop of the ledger has the name; it is looked at again once that is through. */
function isOpen({ kept }: State, name: string): boolean {
  for (const { drop } of kept.values()) {
    if (drop.origin === "inbox" && drop.name === name && !drop.moved) return true;
  }
  return false;
}

/** Timers stand still while a machine sleeps; the network and the folder may be others by now. */
function noticeSleep(
  { world, troubles }: State,
  watch: FolderWatch,
  last: { wallMs: number; monotonicMs: number },
): { wallMs: number; monotonicMs: number } {
  const { clock, listener } = world;
  const now = { wallMs: clock.now().getTime(), monotonicMs: clock.monotonicMs() };
  const ranMs = now.monotonicMs - last.monotonicMs;
  const sleptMs = Math.max(now.wallMs - last.wallMs - ranMs, ranMs - TICK_MS);
  if (sleptMs > SLEPT_MS) {
    listener({ type: "woke", sleptMs });
    troubles.forgive(now.monotonicMs);
    void watch.rescan();
  }
  return now;
}

function takeSpooled({ world, kept }: State): void {
  for (const each of world.ledger.listSpooled()) if (!kept.has(each.id)) kept.set(each.id, each);
}

function planNext(state: State, nowMs: number): DropStep[] {
  const { inbox, kept, busy, troubles, world } = state;
  const isHeldBack = (key: string): boolean => troubles.notBeforeMs(key) > nowMs;
  const looking = [...busy.values()].filter((kind) => kind === "look").length;
  const waiting = inbox.due(nowMs, AT_ONCE.look - looking, (name) => {
    const key = keyOfStep({ do: "look", name });
    return busy.has(key) || isHeldBack(key);
  });
  return planDrops({
    waiting,
    kept: kept.values(),
    busy,
    isHeldBack,
    room: (scope, full) => troubles.room(scope, full, nowMs),
    sourcesStay: world.sourcesStay,
    nowMs,
  });
}

function nextWakeMs({ inbox, troubles }: State, nowMs: number): number {
  const next = Math.min(inbox.nextMs, troubles.nextMs(nowMs), nowMs + TICK_MS);
  return Math.max(1, next - nowMs);
}

function isIdle({ inbox, kept, busy }: State): boolean {
  return kept.size === 0 && busy.size === 0 && inbox.size === 0;
}

function countWork({ inbox, kept }: State): AgentCounts {
  let toHandOff = 0;
  for (const { drop, items } of kept.values()) {
    if (drop.phase === "spooled") toHandOff++;
    if (drop.phase !== "hashed") continue;
    toHandOff += items.filter(({ phase }) => phase !== "acknowledged" && phase !== "failed").length;
  }
  return { waiting: inbox.pending, toHandOff };
}

/** Starts a step; whatever comes of it, the loop looks at its drop again. */
function begin(state: State, step: DropStep, running: Set<Promise<void>>): void {
  const key = keyOfStep(step);
  state.busy.set(key, step.do);
  const work = async (): Promise<void> => {
    try {
      await perform(state, step);
    } catch (thrown) {
      survive(state, key, () => fail(state, step, key, asClipscribeError(thrown)));
    }
    state.busy.delete(key);
    if ("id" in step) survive(state, key, () => reload(state, step.id));
    state.wake();
  };
  const task = work().finally(() => running.delete(task));
  running.add(task);
}

/** The ledger's own disk may be full, too: what could not be noted is tried again, not lost. */
function survive({ troubles, world }: State, key: string, work: () => void): void {
  try {
    work();
  } catch (thrown) {
    troubles.failed(key, "folder", asClipscribeError(thrown), world.clock.monotonicMs());
  }
}

async function perform(state: State, step: DropStep): Promise<void> {
  const { world, troubles, signal, inbox } = state;
  if ("name" in step) {
    await applyWaiting(world, inbox, step, signal, (kept) => state.kept.set(kept.id, kept));
  } else {
    await performKept(state, step);
  }
  troubles.succeeded(keyOfStep(step), scopeOfStep(step), world.clock.monotonicMs());
}

async function performKept(state: State, step: Extract<DropStep, { id: number }>): Promise<void> {
  const { world, signal } = state;
  const { ledger, listener } = world;
  const kept = state.kept.get(step.id);
  if (kept === undefined) return;
  const { id, drop, items } = kept;
  switch (step.do) {
    case "read-spooled": {
      const source = { ...drop, sidecars: [] };
      const read = await readDrop(world, source, kept, signal);
      ledger.setItems(id, read.items);
      ledger.change(id, { ...read.drop, created_at: drop.created_at });
      const job = jobOf(kept);
      listener({
        type: "accepted",
        id,
        name: drop.name,
        job,
        items: read.items.length,
        again: drop.options.again,
      });
      return;
    }
    case "look-up":
      return lookUpUrls(world, kept, signal);
    case "download":
    case "report":
    case "hand-off": {
      const item = items.find(({ name }) => name === step.item);
      if (item === undefined) return;
      if (step.do === "report") return reportItem(world, kept, item);
      if (step.do === "download") return downloadItem(world, kept, item, signal);
      return handOffItem(world, kept, item, signal);
    }
    case "move": {
      const moved = await moveToDone(world, kept, signal);
      if (moved.result === "gone") dropIsGone(state, kept, moved.why);
      return;
    }
    case "acknowledge": {
      const isLost = items.every(({ phase }) => phase === "failed");
      if (isLost) return reject(state, kept, describeFailure(items));
      ledger.change(id, { phase: "acknowledged" });
      return;
    }
    case "finish": {
      ledger.change(id, { phase: "done" });
      const failed = items.filter(({ phase }) => phase === "failed").length;
      listener({
        type: "done",
        id,
        name: drop.name,
        job: jobOf(kept),
        target: drop.target,
        failed,
      });
      return;
    }
    case "set-aside": {
      const moved = await setAside(world, kept, signal);
      if (moved.result === "gone") dropIsGone(state, kept, moved.why);
    }
  }
}

/** What the kind of an error says: the item's own fault, or trouble that passes. */
function fail(state: State, step: DropStep, key: string, error: ClipscribeError): void {
  const { world, troubles, inbox, signal } = state;
  if (signal.aborted || error.kind === "cancelled") return;
  const scope = scopeOfStep(step);
  const nowMs = world.clock.monotonicMs();
  // It is said already that the item failed; its job can't be told, whoever's fault that is.
  if (step.do === "report" && isKind(error, "contract", "missing")) {
    troubles.failedAlone(key, nowMs);
    return;
  }
  const isOwn = isKind(error, "contract", "missing") || isTakenAway(state, step);
  const tries = isOwn ? 0 : troubles.failed(key, scope, error, nowMs);
  // What fails while others of its kind go well is no outage.
  const isHopeless = scope === "network" && tries >= MAX_TRIES && troubles.isOwn(key, scope);
  if ("name" in step) {
    const drop = inbox.get(step.name);
    if (isOwn) inbox.lookAnew(step.name);
    else if (drop !== undefined) inbox.set({ ...drop, dueAtMs: troubles.notBeforeMs(key) });
    return;
  }
  if (!isOwn && !isHopeless) return;
  const kept = state.kept.get(step.id);
  if (kept === undefined) return;
  if ("item" in step) failItem(state, kept, step.item, error);
  else reject(state, kept, error);
}

/** Whatever the error calls itself: the file that was meant is not there any more. */
function isTakenAway({ kept, inbox }: State, step: DropStep): boolean {
  if (step.do !== "hand-off") return false;
  const item = kept.get(step.id)?.items.find(({ name }) => name === step.item);
  return item !== undefined && !inbox.isAs(item);
}

function failItem(state: State, kept: KeptDrop, name: string, error: ClipscribeError): void {
  const { world } = state;
  const { id, drop, items } = kept;
  const item = items.find((each) => each.name === name);
  if (item === undefined) return;
  // Changed or taken away while it was sent: what is there now is a drop of its own.
  if (drop.origin === "inbox" && drop.kind === "file" && !drop.moved && !state.inbox.isAs(item)) {
    return dropIsGone(state, kept, "it changed or was taken away while it was handed off");
  }
  world.ledger.changeItem(id, name, { phase: "failed", error: toErrorRecord(error) });
  world.listener({ type: "item-failed", id, job: jobOf(kept), item: item.item ?? name, error });
}

function reject({ world }: State, { id }: KeptDrop, error: ClipscribeError): void {
  world.ledger.change(id, { phase: "rejecting", error: toErrorRecord(error) });
}

function dropIsGone({ world }: State, { id, drop }: KeptDrop, why: string): void {
  world.ledger.change(id, { phase: "gone" });
  world.listener({ type: "gone", id, name: drop.name, job: drop.job, why });
}

/** Takes the drop as the ledger has it now; one that is through makes its name free. */
function reload({ world, kept, inbox }: State, id: number): void {
  const now = world.ledger.get(id);
  const isOver = now === undefined || ["done", "rejected", "gone"].includes(now.drop.phase);
  if (!isOver) {
    kept.set(id, now);
    if (!now.drop.moved) return;
  } else {
    kept.delete(id);
  }
  if (now?.drop.origin === "inbox") inbox.observe(now.drop.name);
}
