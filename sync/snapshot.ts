/**
 * What a finished job looked like from outside: its inputs, its pipeline's files, its results. While
 * all of that stands as it was, there is nothing to do, and finding that out takes one `stat` a
 * file and no database. A snapshot may be deleted at any time: the next run only takes longer.
 */
import { mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

import { listFiles } from "./list-files.ts";

/** Times are trusted only if they are older than the coarsest clock of a file system (FAT: 2 s). */
const RACY_MS = 2_000;
const FORMAT = 2;

/** path, size, mtime (ms), ctime (ms), inode. */
export type Stamp = [path: string, size: number, mtimeMs: number, ctimeMs: number, ino: number];

export interface SnapshotItem {
  item: string;
  /** Of the medium and its sidecars, in the order of the listing. */
  stamps: Stamp[];
  /** Size and mtime (ms) of the published manifest. */
  manifest: [size: number, mtimeMs: number];
}

/** What a run was asked for: real paths of what was named, of the pipeline and of the results' folder. */
export interface Asked {
  named: string[];
  pipeline: string;
  results: string;
}

interface SnapshotHead {
  asked: Asked;
  job: string;
  version: string;
  accept: string[];
  pipeline: Stamp[];
  stages: string[];
  resultsDir: string;
}

/**
 * What is asked of all items stands in columns: 10,000 of them are read in 4 ms, which as an object each
 * take 10, and leave a heap to be cleaned up.
 */
export interface Snapshot extends SnapshotHead {
  format: number;
  items: string[];
  /** Paths of media and their sidecars, item by item. */
  inputs: string[];
  /** Size, mtime, ctime and inode of each of `inputs`. */
  inputStamps: number[];
  /** Size and mtime of each item's manifest. */
  manifests: number[];
}

/**
 * Where the snapshot of these arguments is kept. Named by FNV-1a, twice with differing starts: to load what
 * has better hashes takes 5 ms, and a snapshot says itself what it was asked for.
 */
export function snapshotPath(home: string, asked: Asked): string {
  const text = textOf(asked);
  return join(home, "snapshots", `${fnv1a(text, 0x811c9dc5)}${fnv1a(text, 0x9747b28c)}.json`);
}

function textOf({ named, pipeline, results }: Asked): string {
  return JSON.stringify([named, pipeline, results]);
}

function fnv1a(text: string, start: number): string {
  let hash = start;
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return (hash >>> 0).toString(16).padStart(8, "0");
}

export function stampFile(path: string): Stamp {
  const info = statSync(path, { throwIfNoEntry: false });
  if (info === undefined) return [path, -1, -1, -1, -1];
  return [path, info.size, info.mtimeMs, info.ctimeMs, info.ino];
}

/** Writes nothing where a file is so young that a later change could keep its times. */
export function writeSnapshot(
  home: string,
  { items, ...head }: SnapshotHead & { items: readonly SnapshotItem[] },
  nowMs: number,
): void {
  const path = snapshotPath(home, head.asked);
  const inputs = items.flatMap((item) => item.stamps);
  const isRacy = [...head.pipeline, ...inputs].some(
    ([, size, mtimeMs]) => size < 0 || nowMs - mtimeMs < RACY_MS,
  );
  mkdirSync(dirname(path), { recursive: true });
  if (isRacy) {
    rmSync(path, { force: true });
    return;
  }
  const snapshot: Snapshot = {
    format: FORMAT,
    ...head,
    items: items.map(({ item }) => item),
    inputs: inputs.map(([input]) => input),
    inputStamps: inputs.flatMap(([, ...numbers]) => numbers),
    manifests: items.flatMap(({ manifest }) => manifest),
  };
  const temporary = `${path}.${process.pid}.tmp`;
  writeFileSync(temporary, JSON.stringify(snapshot));
  renameSync(temporary, path);
}

/** Returns the snapshot if everything is as it says. */
export function findUnchanged(home: string, asked: Asked, version: string): Snapshot | undefined {
  const snapshot = readSnapshot(snapshotPath(home, asked));
  if (snapshot === undefined || snapshot.version !== version) return undefined;
  if (textOf(snapshot.asked) !== textOf(asked)) return undefined;
  if (!snapshot.pipeline.every(([file, ...stamp]) => isAsBefore(file, stamp, 0))) return undefined;
  try {
    return inputsMatch(snapshot) && resultsMatch(snapshot) ? snapshot : undefined;
  } catch {
    // What can't be listed or read is for the thorough way to explain.
    return undefined;
  }
}

function readSnapshot(path: string): Snapshot | undefined {
  try {
    const snapshot = JSON.parse(readFileSync(path, "utf8")) as Snapshot;
    return snapshot.format === FORMAT ? snapshot : undefined;
  } catch {
    return undefined;
  }
}

/** `stamps` holds size, mtime, ctime and inode from `at` on. */
function isAsBefore(path: string, stamps: readonly number[], at: number): boolean {
  const info = statSync(path, { throwIfNoEntry: false });
  return (
    info !== undefined &&
    info.size === stamps[at] &&
    info.mtimeMs === stamps[at + 1] &&
    info.ctimeMs === stamps[at + 2] &&
    info.ino === stamps[at + 3]
  );
}

function inputsMatch({ asked, accept, items, inputs, inputStamps }: Snapshot): boolean {
  const media = asked.named.flatMap((path) => listFiles(path, accept).media);
  if (media.length !== items.length) return false;
  let at = 0;
  const isNext = (path: string): boolean => {
    const found = path === inputs[at] && isAsBefore(path, inputStamps, at * 4);
    at++;
    return found;
  };
  const all = media.every(({ path, sidecars }) => isNext(path) && sidecars.every(isNext));
  return all && at === inputs.length;
}

function resultsMatch({ resultsDir, items, manifests }: Snapshot): boolean {
  return items.every((item, at) => {
    const info = statSync(`${resultsDir}/${item}/manifest.json`, { throwIfNoEntry: false });
    return (
      info !== undefined &&
      info.size === manifests[at * 2] &&
      info.mtimeMs === manifests[at * 2 + 1]
    );
  });
}
