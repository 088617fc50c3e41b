/**
 * What a finished job looked like from outside: its inputs, its pipeline's files, its results. While
 * all of that stands as it was, there is nothing to do, and finding that out takes one `stat` a
 * file and no database. A snapshot may be deleted at any time: the next run only takes longer.
 */
import { mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

import { digestOf } from "../core/digest.ts";
import { listFiles } from "./list-files.ts";

/** Times are trusted only if they are older than the coarsest clock of a file system (FAT: 2 s). */
const RACY_MS = 2_000;
const FORMAT = 1;

/** path, size, mtime (ms), ctime (ms), inode. */
export type Stamp = [path: string, size: number, mtimeMs: number, ctimeMs: number, ino: number];

export interface SnapshotItem {
  item: string;
  /** Index into `inputs` of the medium and its sidecars. */
  stamps: Stamp[];
  /** Size and mtime (ms) of the published manifest. */
  manifest: [size: number, mtimeMs: number];
}

export interface Snapshot {
  format: number;
  job: string;
  version: string;
  accept: string[];
  /** Real paths of what was named. */
  named: string[];
  pipeline: Stamp[];
  stages: string[];
  resultsDir: string;
  items: SnapshotItem[];
}

/** Where the snapshot of these arguments is kept. */
export function snapshotPath(
  home: string,
  about: { named: readonly string[]; pipeline: string; results: string },
): string {
  return join(home, "snapshots", `${digestOf(about).slice(0, 32)}.json`);
}

export function stampFile(path: string): Stamp {
  const info = statSync(path, { throwIfNoEntry: false });
  if (info === undefined) return [path, -1, -1, -1, -1];
  return [path, info.size, info.mtimeMs, info.ctimeMs, info.ino];
}

/** Writes nothing where a file is so young that a later change could keep its times. */
export function writeSnapshot(
  path: string,
  snapshot: Omit<Snapshot, "format">,
  nowMs: number,
): void {
  const stamps = [...snapshot.pipeline, ...snapshot.items.flatMap((item) => item.stamps)];
  const isRacy = stamps.some(([, size, mtimeMs]) => size < 0 || nowMs - mtimeMs < RACY_MS);
  mkdirSync(dirname(path), { recursive: true });
  if (isRacy) {
    rmSync(path, { force: true });
    return;
  }
  const temporary = `${path}.${process.pid}.tmp`;
  writeFileSync(temporary, JSON.stringify({ format: FORMAT, ...snapshot }));
  renameSync(temporary, path);
}

/** Returns the snapshot if everything is as it says. */
export function findUnchanged(path: string, version: string): Snapshot | undefined {
  const snapshot = readSnapshot(path);
  if (snapshot === undefined || snapshot.version !== version) return undefined;
  if (!snapshot.pipeline.every(isAsBefore)) return undefined;
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

function isAsBefore([path, size, mtimeMs, ctimeMs, ino]: Stamp): boolean {
  const info = statSync(path, { throwIfNoEntry: false });
  return (
    info !== undefined &&
    info.size === size &&
    info.mtimeMs === mtimeMs &&
    info.ctimeMs === ctimeMs &&
    info.ino === ino
  );
}

function inputsMatch(snapshot: Snapshot): boolean {
  const media = snapshot.named.flatMap((path) => listFiles(path, snapshot.accept).media);
  if (media.length !== snapshot.items.length) return false;
  return media.every(({ path, sidecars }, at) => {
    const stamps = snapshot.items[at]?.stamps ?? [];
    if (stamps.length !== sidecars.length + 1 || stamps[0]?.[0] !== path) return false;
    if (!sidecars.every((sidecar, index) => stamps[index + 1]?.[0] === sidecar)) return false;
    return stamps.every(isAsBefore);
  });
}

function resultsMatch({ resultsDir, items }: Snapshot): boolean {
  return items.every(({ item, manifest: [size, mtimeMs] }) => {
    const info = statSync(`${resultsDir}/${item}/manifest.json`, { throwIfNoEntry: false });
    return info !== undefined && info.size === size && info.mtimeMs === mtimeMs;
  });
}
