/**
 * Bare drops: read where they lie, pinned to the version that was meant, into the folder of
 * originals. They are another tool's: nothing here writes or deletes one.
 */
import { createHash, randomUUID } from "node:crypto";
import { mkdirSync, statSync, utimesSync } from "node:fs";
import { open, rename, rm } from "node:fs/promises";
import { join } from "node:path";

import type { BareDrop } from "../../core/bare-drop.ts";
import { ClipscribeError, isKind } from "../../core/errors.ts";
import { Sha256 } from "../../core/ids.ts";
import type { UserId } from "../../core/ids.ts";
import { parseDropKey } from "../../core/keys.ts";
import type { ObjectKey } from "../../core/keys.ts";
import { extensionOf } from "../../core/media-types.ts";
import type { Source } from "../../core/records.ts";
import { safeLine } from "../../core/safe-text.ts";
import type { Etag, ObjectStore } from "../../ports/object-store.ts";
import type { DropReader, LocatedSource, Sources } from "../../ports/sources.ts";
import { assertRoom, removeUnused } from "./bucket-sources.ts";

export interface DropSourcesOptions {
  store: ObjectStore;
  /** Whose drops may be read. */
  user: UserId;
  /** Absolute; made when it is needed. */
  dir: string;
}

type DropVersion = Pick<BareDrop, "key" | "etag" | "sizeBytes">;

export function openDropSources({ store, user, dir }: DropSourcesOptions): DropReader & Sources {
  const fetching = new Map<string, Promise<string>>();

  /** Returns the hash of what was read; the file is named by it. */
  async function fetch(drop: DropVersion, signal: AbortSignal): Promise<string> {
    const { key, etag, sizeBytes } = drop;
    mkdirSync(dir, { recursive: true });
    removeUnused(dir);
    assertRoom(dir, sizeBytes);
    const partial = join(dir, `${randomUUID()}.part`);
    try {
      const { body } = await store.getStream(key, { ifMatch: etag as Etag, signal });
      const hash = createHash("sha256");
      let bytes = 0;
      {
        await using file = await open(partial, "wx", 0o600);
        for await (const chunk of body) {
          bytes += chunk.length;
          hash.update(chunk);
          await file.writeFile(chunk);
        }
      }
      // A folder has no versions: there, a file may grow while it is read.
      const now = await store.head(key, { signal });
      if (now?.etag !== etag || bytes !== sizeBytes) throw replaced(key);
      const sha256 = hash.digest("hex");
      await rename(partial, pathOf(dir, sha256, key));
      return sha256;
    } finally {
      await rm(partial, { force: true });
    }
  }

  /** Who asks for a version that is on its way waits for it. */
  async function bring(drop: DropVersion, signal: AbortSignal): Promise<string> {
    const name = `${drop.etag} ${drop.key}`;
    const under = fetching.get(name) ?? fetch(drop, signal);
    fetching.set(name, under);
    return under.finally(() => fetching.delete(name));
  }

  /** A ticket says where its drop lies, and a runner may read more of the bucket than its user. */
  function ownDrop(text: string): ObjectKey {
    const drop = parseDropKey(text);
    if (drop?.user === user) return drop.key;
    throw new ClipscribeError("contract", "the ticket names a drop that is not its user's", {
      details: { key: safeLine(text, 200), user },
    });
  }

  async function bringAgain(source: Source, signal: AbortSignal): Promise<void> {
    if (source.drop === undefined) return;
    const key = ownDrop(source.drop.key);
    const drop = { key, etag: source.drop.etag, sizeBytes: source.size };
    const sha256 = await bring(drop, signal).catch((error: unknown) => {
      if (isKind(error, "conflict", "missing")) throw gone(source, error);
      throw error;
    });
    if (sha256 !== source.sha256) throw gone(source, undefined);
  }

  return {
    read: async (drop, signal) => Sha256.parse(await bring(drop, signal)),
    async locate(source, signal): Promise<LocatedSource> {
      const path = pathOf(dir, source.sha256, source.filename);
      const isHere = (): boolean => statSync(path, { throwIfNoEntry: false })?.size === source.size;
      if (!isHere()) await bringAgain(source, signal);
      const now = new Date();
      utimesSync(path, now, now);
      return {
        path,
        verify: () =>
          isHere()
            ? Promise.resolve()
            : Promise.reject(
                new ClipscribeError("transient", "the copy of the dropped file is gone", {
                  details: { file: source.filename },
                }),
              ),
      };
    },
  };
}

/** Bare drops are read where they lie, all else where `others` has it. */
export function dropsFrom(drops: Sources, others: Sources): Sources {
  return {
    locate: async (source, signal) =>
      (source.drop === undefined ? others : drops).locate(source, signal),
    glance: (source) => (source.drop === undefined ? others : drops).glance?.(source),
  };
}

function pathOf(dir: string, sha256: string, name: string): string {
  const ending = extensionOf(name);
  return join(dir, `${sha256}.${/^[a-z0-9]{1,8}$/.test(ending) ? ending : "bin"}`);
}

function replaced(key: string): ClipscribeError {
  return new ClipscribeError("conflict", "the dropped file was changed while it was read", {
    details: { key },
  });
}

/** A person has to say what they want: the other version is a job of its own by now. */
function gone({ filename }: Source, cause: unknown): ClipscribeError {
  return new ClipscribeError("missing", "the dropped file was replaced or removed", {
    details: { file: filename },
    hint: "put it under drops/ again, under a name of its own if there is another version",
    cause,
  });
}
