/** What a hand-off ends with: whether the lid may be closed. The words are those of `clipscribe up`. */
import { randomUUID } from "node:crypto";
import { readdirSync, realpathSync } from "node:fs";
import { hostname } from "node:os";

import { findAgent } from "../adapters/system/agent-lock.ts";
import { systemClock } from "../adapters/system/system-clock.ts";
import { isKind } from "../core/errors.ts";
import { parseObjectKey } from "../core/keys.ts";
import type { DropLedger } from "../ports/drop-ledger.ts";
import type { ObjectStore } from "../ports/object-store.ts";
import { classifyName } from "../sync/drop-names.ts";
import { adviseLid, formatLid, formatTimeOfDay } from "../sync/lid.ts";
import type { LidAdvice } from "../sync/lid.ts";
import { createServerWatch } from "../sync/server-watch.ts";
import type { Settings } from "./settings.ts";

/** The same as `clipscribe up` notes. */
const SEEN_FACT = "server_seen_at";

export interface LidWork {
  settings: Settings;
  store: ObjectStore;
  isShared: boolean;
  ledger: DropLedger;
  accept: readonly string[];
  /** What the work will take, where that is known. */
  minutes: number | null;
  signal: AbortSignal;
}

export interface LidEnd {
  /** `nobody`: on this machine alone, and nothing here works on tickets. */
  lid: LidAdvice["lid"] | "nobody";
  text: string;
}

export async function adviseAfterHandOff(work: LidWork): Promise<LidEnd> {
  const { settings, isShared, ledger, minutes } = work;
  const agent = findAgent(realpathSync(settings.home));
  const awaited = ledger.listAwaited().filter(({ item }) => item.outcome === null);
  if (!isShared && agent?.role !== "up") {
    const items = awaited.length === 1 ? "1 item waits" : `${awaited.length} items wait`;
    const text = `${items}, and nothing on this computer works on them: start it with \`clipscribe up\``;
    return awaited.length === 0 ? idle() : { lid: "nobody", text };
  }
  const now = systemClock.now();
  const advice = adviseLid({
    isEmbedded: !isShared,
    // Closing the lid stops whatever else is still on its way from here.
    toHandOff: countOpen(ledger) + (agent === undefined ? 0 : countInbox(work)),
    underWay: awaited.length,
    minutesLeft: minutes,
    serverSeenAt: isShared ? await seeServer(work) : null,
    now,
  });
  return { lid: advice.lid, text: formatLid(advice, (at) => formatTimeOfDay(at, now)) };
}

function idle(): LidEnd {
  return { lid: "idle", text: formatLid({ lid: "idle" }, () => "") };
}

function countOpen(ledger: DropLedger): number {
  let count = 0;
  for (const { drop, items } of ledger.listOpen()) {
    if (drop.phase === "spooled") count++;
    else
      count += items.filter(({ phase }) => phase !== "acknowledged" && phase !== "failed").length;
  }
  return count;
}

/** What the agent has yet to take up: it is in its memory only. */
function countInbox({ settings, accept }: LidWork): number {
  try {
    const entries = readdirSync(settings.inbox, { withFileTypes: true });
    return entries.filter((entry) => {
      const kind = classifyName(entry.name, accept);
      return kind === "medium" || kind === "list" || (entry.isDirectory() && kind === "other");
    }).length;
  } catch {
    return 0;
  }
}

/**
 * A runner's record tells by its age, and that by the store's own clock: something is written there
 * now, to know what time it is. Null where it can't be told: then nothing is called safe.
 */
async function seeServer({ settings, store, ledger, signal }: LidWork): Promise<Date | null> {
  const fact = ledger.readFact(SEEN_FACT);
  const seenAt = fact === undefined ? null : new Date(fact);
  const host = hostname();
  const watch = createServerWatch({ store, clock: systemClock, host, seenAt });
  const key = parseObjectKey(`cache/${settings.user}/probe-${randomUUID()}`);
  try {
    await store.put(key, Buffer.from("what time is it"), { ifMatch: null, signal });
    const seen = await watch.look({ key, at: systemClock.now() }, signal);
    if (seen !== null) ledger.writeFact(SEEN_FACT, seen.toISOString());
    return seen;
  } catch (error) {
    if (!isKind(error, "denied", "transient")) throw error;
    return null;
  } finally {
    await store.delete(key).catch(() => undefined);
  }
}
