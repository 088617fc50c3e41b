/**
 * Brings what was spooled to its tickets. The agent of this home does it where one runs; else an agent
 * in this process, which sees nothing but this one job. Who does it may change on the way: the ledger
 * has all that counts, and this process only looks at it.
 */
import { mkdirSync, realpathSync } from "node:fs";

import { acquireAgentLock, findAgent } from "../adapters/system/agent-lock.ts";
import { openKeepAwake } from "../adapters/system/keep-awake.ts";
import { fromErrorRecord, isKind } from "../core/errors.ts";
import type { ClipscribeError } from "../core/errors.ts";
import type { DropItem } from "../core/drop-records.ts";
import type { DropLedger, KeptDrop } from "../ports/drop-ledger.ts";
import type { OpenFolderWatch } from "../ports/folder-watch.ts";
import type { AgentEvent } from "../sync/agent-world.ts";
import { openAgent } from "../sync/agent.ts";
import type { Machine } from "./compose.ts";
import type { Io } from "./io.ts";
import { makeFolder } from "./make-folder.ts";
import { openAgentWorld } from "./open-agent-world.ts";
import type { PipelinesInForce } from "./pipelines-in-force.ts";
import type { Settings } from "./settings.ts";
import type { BatchView } from "./ui/batch-view.ts";

/** A person watches. */
const LOOK_MS = 250;

export interface BatchHandOff {
  io: Io;
  settings: Settings;
  machine: Machine;
  ledger: DropLedger;
  pipelines: PipelinesInForce;
  view: BatchView;
  /** Aborted: what is under way ends; the next one goes on from there. */
  signal: AbortSignal;
}

/** Resolves once every item has its ticket or its reason. @throws what a person must mend first. */
export async function handOffDrop(work: BatchHandOff, id: number): Promise<KeptDrop> {
  const { settings, ledger, view, signal } = work;
  const shown = new Map<string, string>();
  const home = realpathSync(settings.home);
  let own: OwnAgent | undefined;
  let isTold = false;
  try {
    for (;;) {
      const kept = ledger.get(id);
      if (kept === undefined) throw new Error("a spooled drop is gone");
      showItems(view, kept, shown);
      if (kept.drop.phase === "done" || kept.drop.phase === "rejected") return kept;
      signal.throwIfAborted();
      if (own?.trouble !== undefined) throw own.trouble;
      if (own === undefined) {
        const agent = findAgent(home);
        if (agent === undefined) own = await openOwnAgent(work, id, home);
        else if (!isTold) view.note(`\`clipscribe ${agent.role}\` (process ${agent.pid}) does it`);
        isTold = true;
      }
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  } finally {
    await own?.close();
  }
}

interface OwnAgent {
  /** What does not pass by itself. */
  readonly trouble: ClipscribeError | undefined;
  close(): Promise<void>;
}

/** Undefined where another process was faster. */
async function openOwnAgent(
  work: BatchHandOff,
  id: number,
  home: string,
): Promise<OwnAgent | undefined> {
  const { io, settings, machine, ledger, pipelines, view } = work;
  let lock: Disposable;
  try {
    lock = acquireAgentLock(home, "batch submit", new Date());
  } catch (error) {
    if (isKind(error, "conflict")) return undefined;
    throw error;
  }
  let trouble: ClipscribeError | undefined;
  const listener = (event: AgentEvent): void => {
    if (event.type === "item-progress") view.doing(event.item, event.doing, event.fraction);
    if (event.type === "trouble") {
      view.note(`${event.error.message}: waiting`);
      if (isKind(event.error, "denied", "config")) trouble = event.error;
    }
    if (event.type === "trouble-over") view.note("it goes on");
  };
  for (const folder of [settings.inbox, settings.done, settings.rejected]) makeFolder(folder);
  mkdirSync(settings.home, { recursive: true });
  const only = (drops: KeptDrop[]): KeptDrop[] => drops.filter((each) => each.id === id);
  const world = await openAgentWorld({
    io,
    settings,
    machine,
    // A job that goes on keeps the pipeline that it began with.
    pipelines,
    listener,
    ledger: {
      ...ledger,
      listOpen: () => only(ledger.listOpen()),
      listSpooled: () => only(ledger.listSpooled()),
    },
  });
  const agent = openAgent({ ...world, openWatch: watchNothing });
  const awake = openKeepAwake(io.platform);
  awake.set(true);
  return {
    get trouble() {
      return trouble;
    },
    async close() {
      awake[Symbol.dispose]();
      await agent[Symbol.asyncDispose]();
      lock[Symbol.dispose]();
    },
  };
}

/** The inbox is the business of `clipscribe up`. */
const watchNothing: OpenFolderWatch = () => ({
  ready: Promise.resolve(),
  mode: { by: "events" },
  rescan: () => Promise.resolve(),
  [Symbol.asyncDispose]: () => Promise.resolve(),
});

const DOING: Partial<Record<DropItem["phase"], string>> = {
  pending: "downloading",
  hashed: "preparing",
  prepared: "uploading",
};

/** Says what changed since the last look. */
function showItems(view: BatchView, { drop, items }: KeptDrop, shown: Map<string, string>): void {
  const isUnnamed = items.some(({ item, phase }) => item === null && phase === "pending");
  if (drop.phase === "spooled") view.busy("reading");
  else view.busy(isUnnamed ? "asking what the links are" : "");
  for (const item of items) {
    const { name, phase, error } = item;
    if (shown.get(name) === phase) continue;
    shown.set(name, phase);
    const id = item.item ?? name;
    const doing = DOING[phase];
    if ((phase === "acknowledged" || phase === "failed") && error !== null) {
      const { message, hint } = fromErrorRecord(error);
      view.ended(id, { state: "failed", message, hint: hint ?? null });
    } else if (phase === "acknowledged") view.ended(id, { state: "handed-off" });
    else if (doing !== undefined && item.item !== null) view.doing(id, doing, null);
  }
}
