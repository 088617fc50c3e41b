/**
 * The folder of an item's results, and the hidden ones beside it:
 *
 *   .incoming-{pid}-{item}   half fetched; {pid} is 0 where nobody works on it
 *   .outgoing-{pid}-{item}   the earlier publish, on its way out
 *   {item}.mine, -2, …       an earlier publish that a person has changed
 *
 * 1. {item} is a whole publish, at every moment in which it is there; it is away for one rename.
 * 2. What a person has changed is looked for after it was moved aside, so no change is missed, and is
 *    never deleted: not by us, and not by who cleans up after a process that died in between.
 */
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
} from "node:fs";
import { dirname, join } from "node:path";

import { ClipscribeError } from "../core/errors.ts";
import { Manifest } from "../core/records.ts";
import { sha256OfFile } from "./fetch-blobs.ts";
import { flush } from "./write-flushed.ts";

export const MANIFEST = "manifest.json";
export const TIMESTAMP = "manifest.json.tsr";
/** Half fetched folders that nobody has gone on with for so long are removed. */
const KEEP_INCOMING_MS = 7 * 24 * 60 * 60 * 1000;
/** Copies of a person's changed folder: `talk.mine`, `talk.mine-2` … */
const MAX_MINE = 1_000;
const OURS = /^\.(incoming|outgoing)-(\d+)-(.+)$/;
const NOBODY = 0;
/** Processes that fetch the same item at the same moment. */
const MAX_SWAPS = 5;

type IsGone = (pid: number) => boolean;

export interface Incoming {
  folder: string;
  /** There is nothing in it of an earlier try. */
  isNew: boolean;
}

/** Makes the folder to fetch into: what an earlier try has left of it, or a new one. */
export function claimIncoming(jobFolder: string, item: string): Incoming {
  const folder = join(jobFolder, `.incoming-${process.pid}-${item}`);
  if (existsSync(folder)) return { folder, isNew: false };
  try {
    renameSync(join(jobFolder, `.incoming-${NOBODY}-${item}`), folder);
    return { folder, isNew: false };
  } catch (error) {
    if ((error as { code?: string }).code !== "ENOENT") throw error;
    mkdirSync(folder, { recursive: true });
    return { folder, isNew: true };
  }
}

/** Leaves it to whoever tries next. */
export function releaseIncoming(incoming: string): void {
  if (!existsSync(incoming)) return;
  const [, , , item = ""] = OURS.exec(incoming.slice(dirname(incoming).length + 1)) ?? [];
  const free = join(dirname(incoming), `.incoming-${NOBODY}-${item}`);
  if (existsSync(free)) rmSync(incoming, { recursive: true, force: true });
  else renameSync(incoming, free);
}

/** Swaps the new folder in; returns where the old one stays if a person changed it. */
export async function replaceFolder(incoming: string, folder: string): Promise<string | null> {
  const item = folder.slice(dirname(folder).length + 1);
  const outgoing = join(dirname(folder), `.outgoing-${process.pid}-${item}`);
  for (let attempt = 1; ; attempt++) {
    const hadOne = moveAside(folder, outgoing);
    try {
      renameSync(incoming, folder);
      return hadOne ? await removeOrKeep(outgoing, folder) : null;
    } catch (error) {
      // Another process has put its own there in between: the same, or an older one.
      if (attempt === MAX_SWAPS || !isTaken(error)) throw error;
      if (hadOne) await removeOrKeep(outgoing, folder);
    }
  }
}

function moveAside(folder: string, outgoing: string): boolean {
  try {
    renameSync(folder, outgoing);
    return true;
  } catch (error) {
    if ((error as { code?: string }).code === "ENOENT") return false;
    throw error;
  }
}

function isTaken(error: unknown): boolean {
  const { code } = error as { code?: string };
  return code === "ENOTEMPTY" || code === "EEXIST";
}

/**
 * What processes that died have left: half fetched folders are released for whoever fetches the item
 * next, or removed when they are old; what belongs to a person is brought back.
 */
export async function sweepIncoming(resultsDir: string, isGone: IsGone): Promise<void> {
  // Where something else is in its place, who fetches says so.
  if (statSync(resultsDir, { throwIfNoEntry: false })?.isDirectory() !== true) return;
  for (const job of readdirSync(resultsDir, { withFileTypes: true })) {
    if (!job.isDirectory()) continue;
    const jobFolder = join(resultsDir, job.name);
    for (const name of readdirSync(jobFolder)) {
      const [, kind, pid, item] = OURS.exec(name) ?? [];
      if (item === undefined || !isAbandoned(Number(pid), isGone)) continue;
      const path = join(jobFolder, name);
      if (kind === "outgoing") await restore(path, join(jobFolder, item));
      else if (Date.now() - statSync(path).mtimeMs > KEEP_INCOMING_MS) {
        rmSync(path, { recursive: true, force: true });
      } else if (Number(pid) !== process.pid && Number(pid) !== NOBODY) releaseIncoming(path);
    }
  }
}

/** Flushes a folder's entries. */
export async function syncFolder(path: string): Promise<void> {
  const folder = openSync(path, "r");
  try {
    await flush(folder);
  } finally {
    closeSync(folder);
  }
}

function isAbandoned(pid: number, isGone: IsGone): boolean {
  return pid === NOBODY || pid === process.pid || isGone(pid);
}

/** It was moved aside, and its mover died: before the new one was in place, or after. */
async function restore(outgoing: string, folder: string): Promise<void> {
  if (existsSync(folder)) await removeOrKeep(outgoing, folder);
  else renameSync(outgoing, folder);
}

async function removeOrKeep(outgoing: string, folder: string): Promise<string | null> {
  if (!(await wasChanged(outgoing))) {
    rmSync(outgoing, { recursive: true, force: true });
    return null;
  }
  const mine = freeName(`${folder}.mine`);
  renameSync(outgoing, mine);
  return mine;
}

/** True if the folder is anything but what its own manifest says. */
async function wasChanged(folder: string): Promise<boolean> {
  let manifest: Manifest;
  try {
    manifest = Manifest.parse(JSON.parse(readFileSync(join(folder, MANIFEST), "utf8")));
  } catch {
    return readdirSync(folder).length > 0;
  }
  const expected = new Map(manifest.files.map(({ path, sha256 }) => [path, sha256]));
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (entry.isDirectory()) continue;
    const path = join(entry.parentPath, entry.name);
    const name = path.slice(folder.length + 1);
    if (name === MANIFEST || name === TIMESTAMP || entry.name === ".DS_Store") continue;
    const sha256 = expected.get(name);
    if (sha256 === undefined || !entry.isFile() || (await sha256OfFile(path)) !== sha256)
      return true;
  }
  return false;
}

/** A name that nothing has: `talk.mine`, then `talk.mine-2`. */
export function freeName(base: string): string {
  for (let number = 1; number < MAX_MINE; number++) {
    const name = number === 1 ? base : `${base}-${number}`;
    if (!existsSync(name)) return name;
  }
  throw new ClipscribeError("contract", "too many kept copies of one item", {
    hint: "remove the `.mine` folders that you don't need",
  });
}
