/**
 * Originals that were uploaded: `sources/{user}/{sha256}.{ext}`, brought into a folder of this
 * machine once, checked by their hash, and removed when nobody has asked for them for a while.
 */
import { createHash, randomUUID } from "node:crypto";
import { mkdirSync, readdirSync, rmSync, statSync, statfsSync, utimesSync } from "node:fs";
import { open, rename, rm } from "node:fs/promises";
import { extname, join } from "node:path";

import { ClipscribeError, isKind } from "../../core/errors.ts";
import type { UserId } from "../../core/ids.ts";
import { keysOf } from "../../core/keys.ts";
import type { ObjectKey } from "../../core/keys.ts";
import type { Source } from "../../core/records.ts";
import type { ObjectStore } from "../../ports/object-store.ts";
import type { LocatedSource, Sources } from "../../ports/sources.ts";

/** Longer than any stage that reads one: nobody's file goes while it is read. */
const UNUSED_MS = 25 * 60 * 60 * 1000;
/** A download that nobody has written to for so long is a dead process's. */
const DEAD_PART_MS = 15 * 60 * 1000;
/** Left for what is made of the medium. */
const SPARE_BYTES = 512 * 1024 * 1024;

export interface BucketSourcesOptions {
  store: ObjectStore;
  user: UserId;
  /** Absolute; made when it is needed. */
  dir: string;
}

/** The key of a source: its content, and the ending by which tools know it. */
export function sourceKey(user: UserId, { sha256, filename }: Source): ObjectKey {
  const ending = extname(filename).slice(1).toLowerCase();
  return keysOf(user).source(sha256, /^[a-z0-9]{1,8}$/.test(ending) ? ending : "bin");
}

export function openBucketSources({ store, user, dir }: BucketSourcesOptions): Sources {
  const fetching = new Map<string, Promise<string>>();

  async function bring(source: Source, signal: AbortSignal): Promise<string> {
    const key = sourceKey(user, source);
    const path = join(dir, key.split("/").at(-1) ?? source.sha256);
    mkdirSync(dir, { recursive: true });
    if (statSync(path, { throwIfNoEntry: false })?.size === source.size) return path;
    removeUnused(dir);
    assertRoom(dir, source.size);
    const partial = `${path}.${randomUUID()}.part`;
    try {
      const { body } = await store.getStream(key, { signal }).catch((error: unknown) => {
        throw isKind(error, "missing") ? neverUploaded(source, error) : error;
      });
      const hash = createHash("sha256");
      {
        await using file = await open(partial, "wx", 0o600);
        for await (const chunk of body) {
          hash.update(chunk);
          await file.writeFile(chunk);
        }
      }
      if (hash.digest("hex") !== source.sha256) {
        // Nobody may take it for the original again: who has that sends it anew.
        await store.delete(key);
        throw new ClipscribeError("missing", "the uploaded original is not what its name says", {
          details: { key },
          hint: "run the same file again where it is: it is uploaded anew",
        });
      }
      await rename(partial, path);
      return path;
    } finally {
      await rm(partial, { force: true });
    }
  }

  return {
    async locate(source, signal): Promise<LocatedSource> {
      const under = fetching.get(source.sha256) ?? bring(source, signal);
      fetching.set(source.sha256, under);
      try {
        const path = await under;
        const now = new Date();
        utimesSync(path, now, now);
        const { size, ino } = statSync(path);
        return {
          path,
          verify: () => {
            const info = statSync(path, { throwIfNoEntry: false });
            if (info?.size === size && info.ino === ino) return Promise.resolve();
            return Promise.reject(
              new ClipscribeError("transient", "the copy of the original is gone", {
                details: { file: source.filename },
              }),
            );
          },
        };
      } finally {
        fetching.delete(source.sha256);
      }
    },
  };
}

function neverUploaded({ filename, sha256 }: Source, cause: unknown): ClipscribeError {
  return new ClipscribeError("missing", "the original is neither here nor in the bucket", {
    details: { file: filename, sha256: sha256.slice(0, 12) },
    hint: "start `clipscribe up` on the machine that has the file, or hand the same file in again there: what is missing is sent",
    cause,
  });
}

/** First where the person's own file is, else what was uploaded of it. */
export function firstOf(...places: readonly Sources[]): Sources {
  return {
    async locate(source, signal) {
      let missing: unknown;
      for (const place of places) {
        try {
          return await place.locate(source, signal);
        } catch (error) {
          if (!(error instanceof ClipscribeError) || error.kind !== "missing") throw error;
          missing = error;
        }
      }
      throw missing;
    },
    glance(source) {
      for (const place of places) {
        const found = place.glance?.(source);
        if (found !== undefined) return found;
      }
      return undefined;
    },
  };
}

export function removeUnused(dir: string): void {
  for (const name of readdirSync(dir)) {
    const path = join(dir, name);
    const before = Date.now() - (name.endsWith(".part") ? DEAD_PART_MS : UNUSED_MS);
    if ((statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Infinity) < before) {
      rmSync(path, { force: true });
    }
  }
}

export function assertRoom(dir: string, bytes: number): void {
  const { bavail, bsize } = statfsSync(dir);
  if (bavail * bsize >= bytes + SPARE_BYTES) return;
  throw new ClipscribeError("transient", "the disk has no room for the original", {
    details: { needed: bytes + SPARE_BYTES, free: bavail * bsize },
    hint: "free some space; the item is tried again",
  });
}
