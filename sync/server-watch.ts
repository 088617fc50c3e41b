/**
 * When a runner of another machine was last alive. A runner lives while its record changes, so two
 * looks tell it without comparing clocks. The first look has to go by the store's times: they are
 * compared with that of something this machine has just written there.
 */
import { isKind } from "../core/errors.ts";
import { hostSlug } from "../core/ids.ts";
import { systemKeys } from "../core/keys.ts";
import type { ObjectKey } from "../core/keys.ts";
import { RunnerRecord } from "../core/records.ts";
import type { Clock } from "../ports/clock.ts";
import { getIfPresent } from "../ports/get-if-present.ts";
import type { Etag, ObjectStore } from "../ports/object-store.ts";

/** More runners than this are not needed to know that there is one. */
const MAX_RUNNERS = 200;

export interface ServerWatch {
  /**
   * Looks now; costs a listing, and a `head` the first time. @returns when a server was last alive,
   * on this machine's clock; null: never seen.
   */
  look(justWritten: { key: ObjectKey; at: Date } | null, signal: AbortSignal): Promise<Date | null>;
  readonly seenAt: Date | null;
}

export interface ServerWatchOptions {
  store: ObjectStore;
  clock: Clock;
  /** This machine's; its own runners don't go on when its lid is closed. */
  host: string;
  /** What an earlier process saw. */
  seenAt: Date | null;
}

export function createServerWatch(options: ServerWatchOptions): ServerWatch {
  const { store, clock, host } = options;
  let { seenAt } = options;
  const etags = new Map<ObjectKey, Etag>();
  let isFirst = true;
  let aheadMs = 0;

  function see(at: Date): void {
    if (seenAt === null || at > seenAt) seenAt = at;
  }

  return {
    get seenAt() {
      return seenAt;
    },
    async look(justWritten, signal) {
      if (isFirst && justWritten !== null) {
        const info = await store.head(justWritten.key, { signal });
        if (info !== undefined) aheadMs = info.modifiedAt.getTime() - justWritten.at.getTime();
      }
      let count = 0;
      for await (const { key, etag, modifiedAt } of store.list(systemKeys.runners, { signal })) {
        if (count++ >= MAX_RUNNERS) break;
        if (hostOf(key) === hostSlug(host)) continue;
        const before = etags.get(key);
        etags.set(key, etag);
        if (before === etag || !(await isAlive(store, key))) continue;
        // Never in the future, whatever the clocks say.
        const nowMs = clock.now().getTime();
        const wroteMs = Math.min(modifiedAt.getTime() - aheadMs, nowMs);
        see(new Date(before === undefined ? wroteMs : nowMs));
      }
      isFirst = false;
      return seenAt;
    },
  };
}

/** `{host}-{pid}-{8 hex}`, as bin/compose.ts names a runner. */
function hostOf(key: ObjectKey): string {
  const id = key.slice(systemKeys.runners.length).replace(/\.json$/, "");
  return id.replace(/-\d+-[0-9a-f]{8}$/, "");
}

/**
 * Who takes a runner for dead writes its record too. An agent that may only see that records change
 * takes that for life: whoever writes, a runner or another that buries it, is alive.
 */
async function isAlive(store: ObjectStore, key: ObjectKey): Promise<boolean> {
  try {
    const found = await getIfPresent(store, key);
    if (found === undefined) return false;
    const record: unknown = JSON.parse(Buffer.from(found.body).toString("utf8"));
    return RunnerRecord.safeParse(record).data?.status === "alive";
  } catch (error) {
    if (isKind(error, "denied")) return true;
    if (error instanceof SyntaxError) return false;
    throw error;
  }
}
