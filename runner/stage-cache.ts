/**
 * Stages that were done before, by stage key. An entry that is missing, torn, damaged, of another
 * schema, or whose blobs are gone is a miss; failing to write one is an error, never silence
 * (a cache that quietly stays empty pays for everything again).
 */
import { digestOf } from "../core/digest.ts";
import { isKind } from "../core/errors.ts";
import type { Sha256 } from "../core/ids.ts";
import type { UserKeys } from "../core/keys.ts";
import { StageCacheEntry } from "../core/records.ts";
import type { Log } from "../ports/log.ts";
import type { ObjectStore } from "../ports/object-store.ts";
import type { ArtifactShelf } from "./artifact-shelf.ts";
import type { Defences } from "./defences.ts";

export interface StageCache {
  /** Returns the entry only if every artifact of it is there. */
  find(key: Sha256, signal: AbortSignal): Promise<StageCacheEntry | undefined>;
  /** Reads an entry for what it says; its artifacts may be gone. */
  peek(key: Sha256, signal: AbortSignal): Promise<StageCacheEntry | undefined>;
  add(entry: Omit<StageCacheEntry, "checksum">, signal: AbortSignal): Promise<void>;
  forget(key: Sha256, signal: AbortSignal): Promise<void>;
}

export function openStageCache(
  store: ObjectStore,
  keys: UserKeys,
  shelf: ArtifactShelf,
  log: Log,
  defences: Defences,
): StageCache {
  async function peek(key: Sha256, signal: AbortSignal): Promise<StageCacheEntry | undefined> {
    let body: Uint8Array;
    try {
      ({ body } = await store.get(keys.cache(key), { signal }));
    } catch (error) {
      if (isKind(error, "missing")) return undefined;
      throw error;
    }
    const entry = parseEntry(body);
    if (entry === undefined || entry.key !== key || !isIntact(entry, defences)) {
      log.warn("a cache entry is damaged and will be made again", { key });
      return undefined;
    }
    return entry;
  }

  return {
    peek,
    async find(key, signal) {
      const entry = await peek(key, signal);
      if (entry === undefined) return undefined;
      const present = await Promise.all(
        Object.values(entry.artifacts).map((artifact) => shelf.has(artifact, signal)),
      );
      return present.every(Boolean) ? entry : undefined;
    },
    async add(entry, signal) {
      const body = JSON.stringify({ ...entry, checksum: digestOf(entry) });
      // Made again for nothing if a power cut takes it; an entry that cost money must not be lost.
      const durability = entry.cost > 0 ? "synced" : "recomputable";
      await store.put(keys.cache(entry.key), Buffer.from(body), { signal, durability });
    },
    forget: (key, signal) => store.delete(keys.cache(key), { signal }),
  };
}

function parseEntry(body: Uint8Array): StageCacheEntry | undefined {
  try {
    return StageCacheEntry.parse(JSON.parse(Buffer.from(body).toString("utf8")));
  } catch {
    return undefined;
  }
}

function isIntact(entry: StageCacheEntry, defences: Defences): boolean {
  const { checksum, ...content } = entry;
  return !defences.cacheChecksum || digestOf(content) === checksum;
}
