/** Performs the steps of drops that wait: looks at them, probes them, and reads them into the ledger. */
import { DropOptions } from "../core/drop-records.ts";
import type { DropRecord } from "../core/drop-records.ts";
import { ClipscribeError, asClipscribeError, isKind, toErrorRecord } from "../core/errors.ts";
import type { KeptDrop } from "../ports/drop-ledger.ts";
import type { AgentWorld } from "./agent-world.ts";
import { DONE_SUFFIX, OPTIONS_SUFFIX, classifyName } from "./drop-names.ts";
import { deferDrop, isOutOfPatience, lookAgain, passProbe } from "./drop-state.ts";
import type { WaitingDrop } from "./drop-state.ts";
import { fileFingerprint, lookAtFolder } from "./fingerprint.ts";
import type { Inbox } from "./inbox.ts";
import type { DropStep } from "./plan-drops.ts";
import { notWhole, probeMedium, readDrop } from "./read-drop.ts";

/** A file of 0 bytes is a placeholder, or about to be written: events or this look find out. */
const EMPTY_LOOK_MS = 15_000;

interface Looked {
  /** Of it and of all that belongs to it. */
  fingerprint: string;
  /** Of the file or folder alone. */
  own: string;
  isMarked: boolean;
  isBusy: boolean;
  isEmpty: boolean;
  captions: string[];
}

type WaitingStep = Extract<DropStep, { name: string }>;

export async function applyWaiting(
  world: AgentWorld,
  inbox: Inbox,
  step: WaitingStep,
  signal: AbortSignal,
  onKept: (kept: KeptDrop) => void,
): Promise<void> {
  const drop = inbox.get(step.name);
  if (drop === undefined) return;
  const looked = await look(world, inbox, drop);
  if (looked === undefined) return inbox.delete(drop.name);
  if (step.do === "look") return applyLook(world, inbox, drop, looked, onKept);
  // It changed since it was found settled.
  if (looked.fingerprint !== drop.fingerprint) return again(world, inbox, drop, looked);
  try {
    if (step.do === "probe") await applyProbe(world, inbox, drop, looked, signal, onKept);
    else await applyRead(world, inbox, drop, looked, signal, onKept);
  } catch (thrown) {
    const error = asClipscribeError(thrown);
    if (!isKind(error, "contract", "missing")) throw error;
    const now = await look(world, inbox, drop);
    if (now === undefined) return inbox.delete(drop.name);
    if (now.fingerprint !== drop.fingerprint) return again(world, inbox, drop, now);
    reject(world, inbox, drop, now, error, onKept);
  }
}

async function look(
  { files, folders }: AgentWorld,
  inbox: Inbox,
  { name, kind }: WaitingDrop,
): Promise<Looked | undefined> {
  const path = `${folders.inbox}/${name}`;
  const seen = files.look(path);
  if (seen?.kind !== kind) return undefined;
  const isMarked = files.look(path + DONE_SUFFIX) !== undefined;
  if (kind === "folder") {
    const { fingerprint, files: count, isBusy } = await lookAtFolder(files, path);
    const isWhole = isMarked || files.look(`${path}/${DONE_SUFFIX}`) !== undefined;
    const common = { captions: [], isMarked: isWhole, isEmpty: count === 0 };
    return { fingerprint, own: fingerprint, isBusy: isBusy && !isWhole, ...common };
  }
  // Begins with its size, as that of an empty file does: nothing of it is on its way.
  const own = seen.isPlaceholder ? `0:in a cloud:${seen.ino}` : fileFingerprint(seen);
  const captions = inbox.captionsOf(name).map((caption) => `${folders.inbox}/${caption}`);
  const beside = [...captions, path + OPTIONS_SUFFIX].map((each) => {
    const found = files.look(each);
    return found === undefined ? "" : `${each} ${fileFingerprint(found)}`;
  });
  const fingerprint = [own, ...beside].join("|");
  return { fingerprint, own, captions, isMarked, isBusy: false, isEmpty: own.startsWith("0:") };
}

function again(world: AgentWorld, inbox: Inbox, drop: WaitingDrop, looked: Looked): void {
  inbox.set(lookAgain(drop, looked, world.clock.monotonicMs(), world.rhythm));
}

function applyLook(
  world: AgentWorld,
  inbox: Inbox,
  drop: WaitingDrop,
  looked: Looked,
  onKept: (kept: KeptDrop) => void,
): void {
  const nowMs = world.clock.monotonicMs();
  const next = lookAgain(drop, looked, nowMs, world.rhythm);
  if (looked.isEmpty) {
    inbox.set({ ...next, phase: "settling", equalLooks: 0, dueAtMs: nowMs + EMPTY_LOOK_MS });
    return;
  }
  inbox.set(next);
  if (next.phase !== "probing" || drop.kind === "folder") return;
  if (classifyName(drop.name, world.pipeline().accept) !== "other") return;
  // Its folder came after it.
  if (inbox.isOfFolder(drop.name)) return inbox.lookAnew(drop.name);
  const { accept } = world.pipeline();
  const refusal = new ClipscribeError("contract", "files of this kind are not accepted", {
    hint: `accepted: ${accept.join(", ")}, and lists of URLs as .txt; see \`accept:\` in pipeline.yaml`,
  });
  reject(world, inbox, drop, looked, refusal, onKept);
}

async function applyProbe(
  world: AgentWorld,
  inbox: Inbox,
  drop: WaitingDrop,
  looked: Looked,
  signal: AbortSignal,
  onKept: (kept: KeptDrop) => void,
): Promise<void> {
  const path = `${world.folders.inbox}/${drop.name}`;
  const mayBeWritten = drop.kind === "file" && !looked.isMarked;
  if (mayBeWritten && (await world.isBeingWritten(path, drop.changedAtMs))) {
    return defer(world, inbox, drop, "a program still has it open for writing");
  }
  const isMedium = classifyName(drop.name, world.pipeline().accept) === "medium";
  if (drop.kind === "folder" || !isMedium) return inbox.set(passProbe(drop));
  const verdict = await probeMedium(world, path, signal);
  if (verdict.is === "whole") return inbox.set(passProbe(drop));
  const nowMs = world.clock.monotonicMs();
  const isOver = looked.isMarked || isOutOfPatience(drop, nowMs, world.rhythm);
  if (verdict.is === "foreign" || isOver) {
    return reject(world, inbox, drop, looked, notWhole(verdict.why), onKept);
  }
  defer(world, inbox, drop, verdict.why);
}

/** Looked at again without an event; said once, until it changes. */
function defer(world: AgentWorld, inbox: Inbox, drop: WaitingDrop, why: string): void {
  if (drop.shortSinceMs === null) world.listener({ type: "waiting", name: drop.name, why });
  inbox.set(deferDrop(drop, world.clock.monotonicMs(), world.rhythm));
}

async function applyRead(
  world: AgentWorld,
  inbox: Inbox,
  drop: WaitingDrop,
  looked: Looked,
  signal: AbortSignal,
  onKept: (kept: KeptDrop) => void,
): Promise<void> {
  const { ledger, folders } = world;
  const source = {
    name: drop.name,
    sources: [`${folders.inbox}/${drop.name}`],
    urls: [],
    origin: "inbox" as const,
    fingerprint: looked.own,
    sidecars: looked.captions,
  };
  const read = await readDrop(world, source, undefined, signal);
  const now = await look(world, inbox, drop);
  if (now === undefined) return inbox.delete(drop.name);
  const isSame =
    now.fingerprint === drop.fingerprint &&
    (read.drop.kind !== "file" || read.items[0]?.fingerprint === looked.own);
  if (!isSame) return again(world, inbox, drop, now);
  const id = ledger.add(read.drop, read.items);
  inbox.delete(drop.name);
  onKept({ id, ...read });
  world.listener({
    type: "accepted",
    id,
    name: drop.name,
    job: read.drop.job ?? ("" as never),
    items: read.items.length,
    again: read.drop.options.again,
  });
}

/** Noted first, then moved: a crash in between goes on. */
function reject(
  world: AgentWorld,
  inbox: Inbox,
  drop: WaitingDrop,
  looked: Looked,
  error: ClipscribeError,
  onKept: (kept: KeptDrop) => void,
): void {
  const record: DropRecord = {
    schema: 1,
    phase: "rejecting",
    origin: "inbox",
    name: drop.name,
    sources: [`${world.folders.inbox}/${drop.name}`],
    urls: [],
    kind: drop.kind,
    job: null,
    pipeline: null,
    options: DropOptions.parse({}),
    fingerprint: looked.own,
    target: null,
    moved: false,
    error: toErrorRecord(error),
    created_at: world.clock.now().toISOString(),
  };
  const id = world.ledger.add(record, []);
  inbox.delete(drop.name);
  onKept({ id, drop: record, items: [] });
}
