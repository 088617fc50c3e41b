/** What tells a file or folder from a later version of itself, without reading it. */
import { createHash } from "node:crypto";

import type { DropFiles, FileLook } from "../ports/drop-files.ts";
import { isTemporaryName } from "./drop-names.ts";

/** Folders deeper than this are somebody's disk, not a drop. */
const MAX_DEPTH = 8;
/** More files in one folder than this are several jobs. */
const MAX_FILES = 200_000;

/** Size, time of change and inode: what a rename keeps, and a writer does not. */
export function fileFingerprint({
  sizeBytes,
  mtimeNs,
  ino,
}: Pick<FileLook, "sizeBytes" | "mtimeNs" | "ino">): string {
  return `${sizeBytes}:${mtimeNs}:${ino}`;
}

export interface FolderLook {
  fingerprint: string;
  files: number;
  /** It holds names of copies in progress, or files of 0 bytes. */
  isBusy: boolean;
}

/** Of all that lies in a folder, by name; hidden and temporary names don't count, but make it busy. */
export async function lookAtFolder(files: DropFiles, folder: string): Promise<FolderLook> {
  const hash = createHash("sha256");
  let count = 0;
  let isBusy = false;
  const visit = async (path: string, depth: number): Promise<void> => {
    const entries = await files.list(path);
    for (const { name, kind } of entries.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
      if (count > MAX_FILES) return;
      if (isTemporaryName(name)) {
        // Hidden files (.DS_Store) lie in every folder; a copy in progress does not.
        if (!name.startsWith(".")) isBusy = true;
        continue;
      }
      const child = `${path}/${name}`;
      if (kind === "folder" && depth < MAX_DEPTH) await visit(child, depth + 1);
      if (kind !== "file") continue;
      const look = files.look(child);
      if (look === undefined) continue;
      if (look.sizeBytes === 0) isBusy = true;
      count++;
      hash.update(`${child.slice(folder.length)}\u0000${fileFingerprint(look)}\n`);
    }
  };
  await visit(folder, 0);
  return { fingerprint: `${count}:${hash.digest("hex").slice(0, 32)}`, files: count, isBusy };
}
