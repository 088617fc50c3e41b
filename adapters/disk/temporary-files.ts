/**
 * Where objects are written before they are moved into place. Some files are made ahead while the store
 * rests: making one and flushing its name takes longer than flushing what is written into it, and
 * whoever hands something over waits for that.
 */
import { randomUUID } from "node:crypto";
import { join } from "node:path";

import type { DiskFs } from "./disk-fs.ts";

/** An older one may be swept by another process at any moment. */
const MAX_SPARE_AGE_MS = 60 * 60 * 1000;
/** An item that is handed over and taken on needs two or three, one right after the other. */
const SPARES = 4;
/** So long nothing was written: whoever writes without a rest gains nothing from a file made ahead. */
const REST_MS = 5;
/** A temporary file this old has no owner: the longest upload of a part takes minutes. */
const STALE_MS = 24 * 60 * 60 * 1000;

export interface TemporaryFile {
  path: string;
  /** It is there already. */
  isMade: boolean;
}

export interface TemporaryFiles {
  /** A new name, and no file yet. */
  take(): TemporaryFile;
  /** A file that was made ahead, if there is one; for what somebody waits for. */
  takeMade(): TemporaryFile;
  /** Something was written. After a rest, files are made ahead again. */
  noteWrite(): void;
  /** Removes what was made and not taken. */
  close(): Promise<void>;
}

/** `isResting`: nobody writes at this moment. */
export function openTemporaryFiles(
  fs: DiskFs,
  dir: string,
  now: () => Date,
  isResting: () => boolean = () => true,
): TemporaryFiles {
  const stem = randomUUID();
  let count = 0;
  let spares: { path: string; madeMs: number }[] = [];
  let making: Promise<void> | undefined;
  let isClosed = false;
  let rest: NodeJS.Timeout | undefined;
  const take = (): TemporaryFile => ({
    path: join(dir, `${stem}.${(count++).toString(36)}`),
    isMade: false,
  });
  const isFresh = ({ madeMs }: { madeMs: number }): boolean => {
    const ageMs = now().getTime() - madeMs;
    return ageMs >= 0 && ageMs <= MAX_SPARE_AGE_MS;
  };

  /** Where that fails, whoever writes next hears of it. */
  async function makeSpares(): Promise<void> {
    while (!isClosed && isResting() && spares.length < SPARES) {
      const { path } = take();
      const madeMs = now().getTime();
      try {
        await fs.makeSpare(path);
      } catch {
        return ignoreTrouble(() => fs.unlink(path));
      }
      spares.push({ path, madeMs });
    }
  }

  function discardSpares(): void {
    for (const { path } of spares) ignoreTrouble(() => fs.unlink(path));
    spares = [];
  }

  return {
    take,
    takeMade() {
      if (!spares.every(isFresh)) discardSpares();
      const path = spares.pop()?.path;
      return path === undefined ? take() : { path, isMade: true };
    },
    noteWrite() {
      if (isClosed) return;
      rest ??= setTimeout(() => {
        // Whoever writes now says so at its end.
        making ??= makeSpares().finally(() => (making = undefined));
      }, REST_MS).unref();
      rest.refresh();
    },
    async close() {
      isClosed = true;
      clearTimeout(rest);
      await making;
      discardSpares();
    },
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
