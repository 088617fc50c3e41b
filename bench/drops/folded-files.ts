/**
 * The files of a Mac on a disk that is none: names are kept decomposed (NFD), and two that differ in
 * case or composition alone are one. A decorator, so that the campaign's agent meets what HFS+ and
 * APFS do; whoever drops goes through it too.
 */
import { readdirSync } from "node:fs";
import { basename, dirname } from "node:path";

import { ClipscribeError } from "../../core/errors.ts";
import type { DropFiles } from "../../ports/drop-files.ts";

const fold = (name: string): string => name.normalize("NFD").toLowerCase();

/** The path that such a disk has under this name: that of the file there, or a decomposed one. */
export function foldPath(path: string): string {
  const name = basename(path);
  const folder = dirname(path);
  let names: string[] = [];
  try {
    names = readdirSync(folder);
  } catch {
    // A folder that is not there has nothing in it.
  }
  if (names.includes(name)) return path;
  const folded = fold(name);
  const found = names.find((each) => fold(each) === folded);
  return `${folder}/${found ?? name.normalize("NFD")}`;
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
