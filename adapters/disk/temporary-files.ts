/**
 * Where objects are written before they are moved into place. The next file is made while the one
 * before it is flushed: where many were deleted just now, some file systems take longer to make a file
 * than to flush it, and whoever hands something over waits for that.
 */
import { randomUUID } from "node:crypto";
import { join } from "node:path";

import type { DiskFs } from "./disk-fs.ts";

/** An older one may be swept by another process at any moment. */
const MAX_SPARE_AGE_MS = 60 * 60 * 1000;
/** A temporary file this old has no owner: the longest upload of a part takes minutes. */
const STALE_MS = 24 * 60 * 60 * 1000;

export interface TemporaryFile {
  path: string;
  /** It is there already, and empty. */
  isMade: boolean;
}

export interface TemporaryFiles {
  /** A new name, and no file yet. */
  take(): TemporaryFile;
  /** The file that was prepared, if one is; for what somebody waits for. */
  takeMade(): TemporaryFile;
  /** Makes the next file, if there is none; where that fails, whoever writes next hears of it. */
  prepare(): void;
  /** Removes what was made and not taken. */
  close(): void;
}

export function openTemporaryFiles(fs: DiskFs, dir: string, now: () => Date): TemporaryFiles {
  const stem = randomUUID();
  let count = 0;
  let spare: { path: string; madeMs: number } | undefined;
  const take = (): TemporaryFile => ({
    path: join(dir, `${stem}.${(count++).toString(36)}`),
    isMade: false,
  });

  function discardSpare(): void {
    const { path } = spare ?? {};
    spare = undefined;
    if (path !== undefined) ignoreTrouble(() => fs.unlink(path));
  }

  return {
    take,
    takeMade() {
      const ageMs = spare && now().getTime() - spare.madeMs;
      if (ageMs !== undefined && (ageMs > MAX_SPARE_AGE_MS || ageMs < 0)) discardSpare();
      const { path } = spare ?? {};
      spare = undefined;
      return path === undefined ? take() : { path, isMade: true };
    },
    prepare() {
      if (spare !== undefined) return;
      const { path } = take();
      ignoreTrouble(() => {
        fs.makeEmpty(path);
        spare = { path, madeMs: now().getTime() };
      });
    },
    close: discardSpare,
  };
}

/** Removes what killed processes have left. */
export function sweepTemporary(fs: DiskFs, dir: string, now: Date): void {
  void fs.names(dir).then(
    (names) => {
      for (const { name } of names) {
        ignoreTrouble(() => {
          const path = join(dir, name);
          const ageMs = now.getTime() - Number(fs.stat(path).mtimeMs);
          if (ageMs > STALE_MS) fs.removeTree(path);
        });
      }
    },
    () => undefined,
  );
}

export function ignoreTrouble(work: () => void): void {
  try {
    work();
  } catch {
    // Mostly, another process was faster, or there was nothing.
  }
}
