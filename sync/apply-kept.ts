/** Performs the steps of drops that are in the ledger. Each may be cut off anywhere and done again. */
import { basename, dirname } from "node:path";

import { sha256Of } from "../core/digest.ts";
import type { DropItem, DropRecord } from "../core/drop-records.ts";
import {
  ClipscribeError,
  asClipscribeError,
  fromErrorRecord,
  isKind,
  toErrorRecord,
} from "../core/errors.ts";
import { slugOf } from "../core/ids.ts";
import type { ItemId, JobId } from "../core/ids.ts";
import { keysOf } from "../core/keys.ts";
import { extensionOf, mediaTypeOf } from "../core/media-types.ts";
import { ItemInfo, ItemState } from "../core/records.ts";
import { safeLine } from "../core/safe-text.ts";
import { titleOfUrl } from "../core/url.ts";
import type { Metadata } from "../core/records.ts";
import type { KeptDrop } from "../ports/drop-ledger.ts";
import type { AgentWorld } from "./agent-world.ts";
import { DONE_SUFFIX, OPTIONS_SUFFIX } from "./drop-names.ts";
import { failItem } from "./fail-item.ts";
import { hashSource } from "./hash-source.ts";
import { companionName, moveOriginal } from "./move-original.ts";
import type { Moved } from "./move-original.ts";
import { assignItemIds } from "./plan-items.ts";
import { readRecord } from "./stored-records.ts";
import { announceJob } from "./submit-job.ts";
import type { JobSubmission, SubmittedItem } from "./submit-job.ts";

/** Pages that are asked at once; a host of them is asked as often as its manners allow. */
const LOOKS_AT_ONCE = 8;

/** Asks what stands behind each URL, so that every item has its name before the first ticket. */
export async function lookUpUrls(
  world: AgentWorld,
  { id, items }: KeptDrop,
  signal: AbortSignal,
): Promise<void> {
  const names = new Set(items.map(({ name }) => name));
  const titles = new Map<string, string>();
  const answers: DropItem[][] = [];
  const queue = items.entries();
  const worker = async (): Promise<void> => {
    for (const [index, item] of queue) {
      answers[index] = await lookUpUrl(world, item, titles, signal);
    }
  };
  await Promise.all(Array.from({ length: LOOKS_AT_ONCE }, worker));
  // Of a playlist, what the list names itself, or another playlist has, is there already.
  const found: DropItem[] = [];
  for (const [index, answer] of answers.entries()) {
    for (const item of answer) {
      if (item.name !== items[index]?.name && names.has(item.name)) continue;
      names.add(item.name);
      found.push(item);
    }
  }
  const before = new Map(
    found.flatMap(({ name, item }) => (item === null ? [] : [[name, item] as const])),
  );
  const named = found.map(({ name }) => ({ name, title: titles.get(name) ?? name }));
  const ids = assignItemIds(named, before);
  world.ledger.setItems(
    id,
    found.map((item) => ({ ...item, item: ids.get(item.name) ?? item.item })),
  );
}

/** One item, or those of a playlist; a dead link is an item that has failed. */
async function lookUpUrl(
  world: AgentWorld,
  item: DropItem,
  titles: Map<string, string>,
  signal: AbortSignal,
): Promise<DropItem[]> {
  const { url } = item;
  if (url === null || item.item !== null || item.phase !== "pending") return [item];
  try {
    const look = await world.downloader.look(url, downloadFolder(world, url), { signal });
    if (look.kind === "video") {
      titles.set(item.name, look.title ?? titleOfUrl(new URL(url)));
      return [item];
    }
    return look.videos.map(({ url: each, title }) => {
      titles.set(each, title ?? titleOfUrl(new URL(each)));
      return { ...item, name: each, url: each };
    });
  } catch (thrown) {
    const error = asClipscribeError(thrown);
    if (!isKind(error, "contract", "missing", "denied")) throw error;
    titles.set(item.name, titleOfUrl(new URL(url)));
    return [{ ...item, phase: "failed", error: toErrorRecord(error) }];
  }
}

export async function downloadItem(
  world: AgentWorld,
  kept: KeptDrop,
  item: DropItem,
  signal: AbortSignal,
): Promise<void> {
  const { ledger, listener, downloader } = world;
  const url = item.url ?? "";
  const job = jobOf(kept);
  // From here on the job can be looked at from anywhere; a bucket that is away now is told later.
  if (item.item !== null) {
    const submission = describeJob(world, kept, item.item);
    await announceJob(world.store, world.clock, submission).catch(() => undefined);
  }
  const wanted = world.pipeline().download;
  const got = await downloader.fetch(url, downloadFolder(world, url), {
    signal,
    soundOnly: wanted?.soundOnly === true && !kept.drop.options.keep_video,
    languages: wanted?.languages ?? [],
    onProgress: (fraction) =>
      listener({
        type: "item-progress",
        id: kept.id,
        job,
        item: item.item ?? url,
        doing: "downloading",
        fraction,
      }),
  });
  const { sha256, info } = await hashSource(got.path, signal, {
    links: "refuse",
    hashLarge: world.hashLarge?.({ keepVideo: kept.drop.options.keep_video }),
  });
  world.remember(got.path, sha256, world.clock.now());
  ledger.changeItem(kept.id, item.name, {
    phase: "hashed",
    path: got.path,
    fingerprint: `${info.size}:${info.mtimeNs}:${info.ino}`,
    source: {
      kind: "url",
      url,
      filename: basename(got.path),
      sha256,
      size: Number(info.size),
      media_type: mediaTypeOf(extensionOf(got.path)),
    },
    info: ItemInfo.parse(got.info),
    sidecars: [...got.sidecars],
  });
}

export function downloadFolder(
  { folders }: { folders: Pick<AgentWorld["folders"], "downloads"> },
  url: string,
): string {
  return `${folders.downloads}/${slugOf(url, "video").slice(0, 40)}-${sha256Of(url).slice(0, 8)}`;
}

/** Brings one item to its ticket, and notes it. */
export async function handOffItem(
  world: AgentWorld,
  kept: KeptDrop,
  item: DropItem,
  signal: AbortSignal,
): Promise<void> {
  const { ledger, store, user, listener } = world;
  const { id, drop } = kept;
  const job = jobOf(kept);
  const itemId = item.item;
  if (itemId === null) throw new ClipscribeError("bug", "an item has no id");
  const submission = describeJob(world, kept, itemId);
  const run = await noteNextRun(world, kept, item, submission);
  const stateKey = keysOf(user).item(job, itemId);
  const state = run === null ? undefined : (await readRecord(store, stateKey, ItemState))?.value;
  // Its ticket was written, and taken, before a crash kept that from being noted.
  const isTaken = run !== null && state !== undefined && state.run >= run;
  const handoff = isTaken
    ? ({
        action: "ticket",
        ticket: keysOf(user).ticket(drop.options.lane, job, itemId, run),
        run,
      } as const)
    : await world.handOff({
        submission: { ...submission, again: run !== null },
        item,
        drop,
        note: (change) => ledger.changeItem(id, item.name, change),
        onProgress: (fraction, doing) =>
          listener({ type: "item-progress", id, job, item: itemId, doing, fraction }),
        signal,
      });
  const isDone = handoff.action === "done";
  const last = isDone ? handoff.state.run : handoff.run;
  ledger.changeItem(id, item.name, {
    phase: "acknowledged",
    run: last,
    ticket: isDone ? keysOf(user).ticket(drop.options.lane, job, itemId, last) : handoff.ticket,
    outcome: null,
    fetched: false,
    // Its ticket brings about what follows an end; a person is told now.
    error: handoff.action === "ended" ? handoff.state.error : null,
  });
  listener({ type: "item-handed-off", id, job, item: itemId, isDone });
}

/** An item that failed here ends in its job, too: whoever looks at that sees why. */
export async function reportItem(world: AgentWorld, kept: KeptDrop, item: DropItem): Promise<void> {
  const { store, clock, ledger } = world;
  const { item: id, name, url, error } = item;
  if (id === null || error === null) throw new ClipscribeError("bug", "an item has not failed");
  const { filename, kind, media_type } = describeSource(item);
  const unsent = { id, kind, url, filename, media_type, error };
  await failItem(store, clock, describeJob(world, kept, id), unsent);
  ledger.changeItem(kept.id, name, { outcome: "failed" });
}

/** `again` makes one new run, however often it is cut off: its number is noted before its ticket. */
async function noteNextRun(
  { ledger, store, user }: AgentWorld,
  { id, drop }: KeptDrop,
  item: DropItem,
  { job }: JobSubmission,
): Promise<number | null> {
  if (!drop.options.again || item.item === null) return null;
  if (item.run !== null) return item.run;
  const found = await readRecord(store, keysOf(user).item(job, item.item), ItemState);
  const run = (found?.value.run ?? 0) + 1;
  ledger.changeItem(id, item.name, { run });
  return run;
}

function describeJob(world: AgentWorld, kept: KeptDrop, only: ItemId): JobSubmission {
  const { drop } = kept;
  if (drop.pipeline === null) throw new ClipscribeError("bug", "a drop has no pipeline");
  const items = kept.items.flatMap(({ item, source, info, sidecars }): SubmittedItem[] =>
    item === null || source === null || info === null ? [] : [{ id: item, source, info, sidecars }],
  );
  const { budget, job_budget: jobBudget, notify } = drop.options;
  return {
    job: jobOf(kept),
    user: world.user,
    lane: drop.options.lane,
    pipeline: drop.pipeline,
    device: world.device,
    items,
    announced: kept.items.flatMap(announce),
    only: new Set([only]),
    again: false,
    // One item may take all that the job may; together they may not.
    budgetUsd: budget ?? jobBudget,
    approvedUsd: jobBudget,
    ...(notify !== null && { notify: { email: notify, webhook: null } }),
  };
}

/** A job is whole before its first ticket: what is still downloaded is named, too. */
function announce(item: DropItem): Metadata["items"] {
  if (item.item === null) return [];
  return [{ item_id: item.item, source: item.source ?? describeSource(item) }];
}

/** What is known of a source without its bytes. */
function describeSource({ url, name }: DropItem) {
  const kind = url === null ? ("file" as const) : ("url" as const);
  const filename = url === null ? name : basename(new URL(url).pathname) || "video";
  return { kind, url, filename, media_type: mediaTypeOf(extensionOf(filename)) };
}

/** Moves a drop's original to done/, and says to whoever looks for its bytes where they are now. */
export async function moveToDone(
  world: AgentWorld,
  kept: KeptDrop,
  signal: AbortSignal,
): Promise<Moved> {
  const { ledger, folders } = world;
  const { id, drop, items } = kept;
  const from = `${folders.inbox}/${drop.name}`;
  const moved = await move(world, kept, folders.done, signal);
  if (moved.result === "gone") return moved;
  const { target } = moved;
  const now = new Date(drop.created_at);
  for (const item of items) {
    const path = item.path === null ? null : pathAfterMove(item.path, from, target);
    if (path === null || path === item.path || item.source === null) continue;
    const sidecars = item.sidecars.map((each) => sidecarAfterMove(each, from, target));
    ledger.changeItem(id, item.name, { path, sidecars });
    world.remember(path, item.source.sha256, now);
  }
  ledger.change(id, { target, moved: true });
  return moved;
}

async function move(
  { files, folders, ledger }: AgentWorld,
  { id, drop, items }: KeptDrop,
  folder: string,
  signal: AbortSignal,
): Promise<Moved> {
  const from = drop.moved && drop.target !== null ? drop.target : `${folders.inbox}/${drop.name}`;
  const [only] = items;
  const sidecars = drop.kind === "file" ? (only?.sidecars ?? []) : [];
  return moveOriginal({
    files,
    id,
    from,
    folder,
    fingerprint: drop.fingerprint === "" ? null : drop.fingerprint,
    sha256: drop.kind === "file" ? (only?.source?.sha256 ?? null) : null,
    companions: [...sidecars, `${from}${OPTIONS_SUFFIX}`, `${from}${DONE_SUFFIX}`],
    // Of this folder only: what lies in done/ already may still turn out to be of no use.
    target: drop.target !== null && dirname(drop.target) === folder ? drop.target : null,
    noteTarget: (target) => ledger.change(id, { target }),
    signal,
  });
}

function pathAfterMove(path: string, from: string, target: string): string {
  if (path === from) return target;
  return path.startsWith(`${from}/`) ? target + path.slice(from.length) : path;
}

function sidecarAfterMove(path: string, from: string, target: string): string {
  const inside = pathAfterMove(path, from, target);
  if (inside !== path) return inside;
  return `${target.slice(0, -basename(target).length)}${companionName(from, path, target)}`;
}

/** What can't be used goes to rejected/, beside a file that says why and what to do. */
export async function setAside(
  world: AgentWorld,
  kept: KeptDrop,
  signal: AbortSignal,
): Promise<Moved> {
  const { files, folders, ledger, listener } = world;
  const { id, drop } = kept;
  const error = drop.error ?? {
    kind: "contract" as const,
    message: "it can't be used",
    hint: null,
    cause: [],
  };
  const told = {
    type: "rejected",
    id,
    name: drop.name,
    why: error.message,
    hint: error.hint,
  } as const;
  if (drop.origin === "submit") {
    ledger.change(id, { phase: "rejected" });
    listener({ ...told, target: null });
    return { result: "moved", target: "" };
  }
  const moved = await move(world, kept, folders.rejected, signal);
  if (moved.result === "gone") return moved;
  const reason = `${moved.target}.reason.txt`;
  try {
    await files.writeNew(reason, formatReason(drop));
  } catch (problem) {
    // Written before a crash.
    if (!isKind(problem, "conflict")) throw problem;
  }
  ledger.change(id, { phase: "rejected", target: moved.target, moved: true });
  listener({ ...told, target: moved.target });
  return moved;
}

function formatReason({ name, error }: DropRecord): string {
  const lines = [
    `${name.toWellFormed()} can't be used:`,
    `  ${error?.message ?? ""}`,
    ...(error?.hint == null ? [] : ["", `What to do: ${error.hint}`]),
    "",
    "Drop it into the inbox again once that is done. This file may be deleted.",
    "",
  ];
  return lines.join("\n");
}

/** Why no item of a drop got a ticket, in one error. */
export function describeFailure(items: readonly DropItem[]): ClipscribeError {
  const errors = items.flatMap(({ name, error }) => (error === null ? [] : [{ name, error }]));
  const [first] = errors;
  if (first === undefined) return new ClipscribeError("contract", "nothing of it can be used");
  if (errors.length === 1) return fromErrorRecord(first.error);
  const lines = errors.slice(0, 50).map(({ name, error: { message } }) => {
    // A line of a list is named by its number, in the message as well.
    return message.startsWith(`${name}: `)
      ? `  ${message}`
      : `  ${safeLine(name, 200)}: ${message}`;
  });
  const what = `none of its ${errors.length} items can be`;
  return new ClipscribeError("contract", `${what}:\n${lines.join("\n")}`);
}

export function jobOf({ drop }: KeptDrop): JobId {
  if (drop.job !== null) return drop.job;
  throw new ClipscribeError("bug", "a drop has no job");
}
