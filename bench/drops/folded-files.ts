/**
 * The files of a Mac on a disk that is none: names are kept decomposed (NFD), and two that differ in
 * case or composition alone are one. A decorator, so that the campaign's agent meets what HFS+ and
 * APFS do; whoever drops goes through it too.
 */
import { lstatSync, readdirSync } from "node:fs";
import { basename, dirname } from "node:path";

import { ClipscribeError } from "../../core/errors.ts";
import type { DropFiles } from "../../ports/drop-files.ts";

const fold = (name: string): string => name.normalize("NFD").toLowerCase();

interface Listing {
  mtimeNs: bigint;
  /** False where it was read so soon after a change that another may keep the time. */
  isTrusted: boolean;
  names: Set<string>;
  folded: Map<string, string>;
}

const RACY_NS = 20_000_000n;
const listings = new Map<string, Listing>();

function listingOf(folder: string): Listing {
  const info = lstatSync(folder, { bigint: true, throwIfNoEntry: false });
  // A folder that is not there has nothing in it.
  if (info === undefined) {
    return { mtimeNs: 0n, isTrusted: false, names: new Set(), folded: new Map() };
  }
  const known = listings.get(folder);
  if (known?.isTrusted === true && known.mtimeNs === info.mtimeNs) return known;
  const names = readdirSync(folder);
  const isTrusted = BigInt(Date.now()) * 1_000_000n - info.mtimeNs > RACY_NS;
  const folded = new Map(names.map((name) => [fold(name), name]));
  const listing = { mtimeNs: info.mtimeNs, isTrusted, names: new Set(names), folded };
  listings.set(folder, listing);
  return listing;
}

/** The path that such a disk has under this name: that of the file there, or a decomposed one. */
export function foldPath(path: string): string {
  const name = basename(path);
  const folder = dirname(path);
  const { names, folded } = listingOf(folder);
  if (names.has(name)) return path;
  return `${folder}/${folded.get(fold(name)) ?? name.normalize("NFD")}`;
}

export function foldedFiles(files: DropFiles): DropFiles {
  const refuseTaken = (path: string, from?: string): string => {
    const there = foldPath(path);
    const look = files.look(there);
    const isSame = from !== undefined && files.look(from)?.ino === look?.ino;
    if (look === undefined || isSame) return there;
    throw new ClipscribeError("conflict", "the name is taken", { details: { path } });
  };
  return {
    ...files,
    look: (path) => files.look(path) ?? files.look(foldPath(path)),
    open: async (path) => files.open(foldPath(path)),
    rename: async (from, to) => files.rename(foldPath(from), foldPath(to)),
    nameNew: async (from, to) => files.nameNew(from, refuseTaken(to, from)),
    writeNew: async (path, text) => files.writeNew(refuseTaken(path), text),
  };
}
