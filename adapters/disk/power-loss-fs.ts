/**
 * A file system that forgets: `crash()` undoes what was never flushed, as a power cut may. Content
 * that was not fsynced becomes empty; names that were made, moved or removed in a folder that was
 * not flushed since are as they were before. Real files below one root; for campaigns and tests.
 */
import { existsSync, linkSync, mkdirSync, readdirSync, rmSync, truncateSync } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { dirname, join } from "node:path";

import type { DiskFs } from "./disk-fs.ts";

export interface PowerLossFs {
  fs: DiskFs;
  /** Cuts the power: call once, then open the folder anew. */
  crash(): void;
}

type Undo = () => void;

export function openPowerLossFs(real: DiskFs, root: string): PowerLossFs {
  /** Folder → how to take back its unflushed changes, newest last. */
  const pending = new Map<string, Undo[]>();
  /** Files whose content was never flushed, by inode: names move, inodes stay. */
  const dirty = new Map<bigint, true>();
  const graveyard = join(root, "..", ".power-loss");
  mkdirSync(graveyard, { recursive: true });
  let graves = 0;

  const note = (path: string, undo: Undo): void => {
    const folder = dirname(path);
    pending.set(folder, [...(pending.get(folder) ?? []), undo]);
  };
  const inode = (path: string): bigint => real.stat(path).ino;
  /** Keeps what a name stood for, so that it can stand for it again. */
  const bury = (path: string): string | undefined => {
    if (!existsSync(path)) return undefined;
    const grave = join(graveyard, String(graves++));
    linkSync(path, grave);
    return grave;
  };
  const restore = (path: string, grave: string | undefined): void => {
    rmSync(path, { force: true });
    if (grave !== undefined && existsSync(dirname(path))) linkSync(grave, path);
  };

  const move = (from: string, to: string, rename: DiskFs["rename"]): void => {
    const grave = bury(to);
    const source = bury(from);
    rename(from, to);
    note(to, () => restore(to, grave));
    note(from, () => restore(from, source));
  };

  const fs: DiskFs = {
    ...real,
    async writeNew(path, body, sync, isMade = false) {
      await real.writeNew(path, body, sync, isMade);
      if (!sync) dirty.set(inode(path), true);
      if (!isMade) note(path, () => rmSync(path, { force: true }));
    },
    async makeSpare(path) {
      await real.makeSpare(path);
      note(path, () => rmSync(path, { force: true }));
    },
    async openNew(path) {
      const handle = await real.openNew(path);
      dirty.set(inode(path), true);
      note(path, () => rmSync(path, { force: true }));
      return flushed(handle, () => void dirty.delete(inode(path)));
    },
    async syncFolder(path) {
      await real.syncFolder(path);
      pending.delete(path);
    },
    rename: (from, to) => move(from, to, real.rename),
    replace: (from, to) => move(from, to, real.replace),
    link(from, to) {
      real.link(from, to);
      note(to, () => rmSync(to, { force: true }));
    },
    unlink(path) {
      const grave = bury(path);
      real.unlink(path);
      note(path, () => restore(path, grave));
    },
    removeFolder(path) {
      real.removeFolder(path);
      note(path, () => mkdirSync(path, { recursive: true }));
    },
    makeFolder(path) {
      const top = real.makeFolder(path);
      if (top === undefined) return undefined;
      for (let folder = path; folder.length >= top.length; folder = dirname(folder)) {
        note(folder, () => rmSync(folder, { recursive: true, force: true }));
      }
      return top;
    },
  };

  return {
    fs,
    crash() {
      forgetContent(real, root, dirty);
      for (const undos of [...pending.values()].toReversed()) {
        for (const undo of undos.toReversed()) undo();
      }
      rmSync(graveyard, { recursive: true, force: true });
    },
  };
}

/** Empties every file whose content was not flushed. */
function forgetContent(real: DiskFs, root: string, dirty: ReadonlyMap<bigint, true>): void {
  const visit = (folder: string): void => {
    for (const name of readdirSync(folder)) {
      const path = join(folder, name);
      const info = real.stat(path);
      if (info.isDirectory()) visit(path);
      else if (dirty.has(info.ino)) truncateSync(path, 0);
    }
  };
  visit(root);
}

function flushed(handle: FileHandle, onSync: () => void): FileHandle {
  const sync = handle.sync.bind(handle);
  handle.sync = async () => {
    await sync();
    onSync();
  };
  return handle;
}
