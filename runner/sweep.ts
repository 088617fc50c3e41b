/**
 * The sweep makes a lost event, a crashed runner and a queue that was down look the same: it lists
 * the tickets and has each old one looked at. It sends no messages. All runners share one cursor,
 * whose lease is its holder's life; a pass is capped, so that a million tickets cost a little often.
 */
import { z } from "zod";

import { isKind } from "../core/errors.ts";
import { RunnerId } from "../core/ids.ts";
import { parseTicketKey, systemKeys } from "../core/keys.ts";
import type { TicketAddress } from "../core/keys.ts";
import { safeLine } from "../core/safe-text.ts";
import { getIfPresent } from "../ports/get-if-present.ts";
import type { Etag } from "../ports/object-store.ts";
import type { Liveness } from "./liveness.ts";
import type { RunnerWorld } from "./world.ts";

const ALL_LANES = "inbox/";
const URGENT = `${ALL_LANES}urgent/`;

/** A pass reads so many keys at most: ten pages of R2. */
const MAX_KEYS_A_PASS = 10_000;
/** And has so many tickets looked at, each a read or two. */
const MAX_LOOKS_A_PASS = 2_000;

const SweepRecord = z.object({
  schema: z.literal(1),
  /** Who sweeps now; null between passes. */
  owner: RunnerId.nullable(),
  /** The last key that was looked at; null: the next pass begins at the start. */
  cursor: z.string().nullable(),
  updated_at: z.iso.datetime(),
});
type SweepRecord = z.infer<typeof SweepRecord>;

export interface SweepOptions {
  world: RunnerWorld;
  liveness: Liveness;
  /** Every ticket under it is looked at, each pass from the start; null: all, by the shared cursor. */
  prefix: string | null;
  /** Takes a ticket on; returns false once nothing more can be. */
  look: (key: string, address: TicketAddress) => boolean;
  /** Younger tickets are left alone; default: two leases. */
  minAgeMs?: number;
  signal: AbortSignal;
}

export async function sweepOnce(options: SweepOptions): Promise<void> {
  if (options.prefix !== null) {
    await walkLanes(options, options.prefix, null);
    return;
  }
  const taken = await takeCursor(options);
  if (taken === undefined) return;
  const cursor = await walkLanes(options, ALL_LANES, taken.cursor);
  await putRecord(options.world, { owner: null, cursor }, taken.etag).catch((error: unknown) => {
    if (!isKind(error, "conflict")) throw error;
  });
}

/**
 * Batch tickets are listed first, and no backlog of theirs hides an urgent one: a walk that ends
 * among them looks at the urgent ones all the same. Returns where to go on, or null: at the start.
 */
async function walkLanes(
  options: SweepOptions,
  prefix: string,
  cursor: string | null,
): Promise<string | null> {
  const { last, isFull } = await walk(options, prefix, cursor ?? undefined);
  if (prefix !== ALL_LANES || last === null) return last;
  if (!last.startsWith(URGENT)) {
    await walk(options, URGENT, undefined);
    return last;
  }
  // Nor do urgent ones without end hide a batch ticket: the next walk begins with these.
  return isFull ? null : last;
}

/** `last`: where to go on, or null at the end of the listing. */
async function walk(
  { world, liveness, look, signal, minAgeMs = 2 * world.clocks.leaseMs }: SweepOptions,
  prefix: string,
  startAfter: string | undefined,
): Promise<{ last: string | null; isFull: boolean }> {
  const youngest = liveness.storeNow().getTime() - minAgeMs;
  let keys = 0;
  let looks = 0;
  const onUnusable = (key: string): void =>
    world.log.warn("a key that can't be used is left alone", { key: safeLine(key, 200) });
  const options = { signal, onUnusable, ...(startAfter !== undefined && { startAfter }) };
  let last = startAfter ?? null;
  for await (const { key, modifiedAt } of world.store.list(prefix, options)) {
    if (keys++ >= MAX_KEYS_A_PASS || looks >= MAX_LOOKS_A_PASS) return { last, isFull: false };
    last = key;
    const address = parseTicketKey(key);
    // Younger ones have their event under way, or a runner that just took them.
    const isYoung = minAgeMs > 0 && modifiedAt.getTime() > youngest;
    if (address === undefined || isYoung) continue;
    looks++;
    if (!look(key, address)) return { last, isFull: true };
  }
  return { last: null, isFull: false };
}

async function takeCursor({
  world,
  liveness,
}: SweepOptions): Promise<{ cursor: string | null; etag: Etag } | undefined> {
  const found = await getIfPresent(world.store, systemKeys.sweep);
  const record = found === undefined ? undefined : parseRecord(found.body);
  const owner = record?.owner ?? null;
  if (owner !== null && owner !== world.runner && (await liveness.isAlive(owner))) return undefined;
  const cursor = record?.cursor ?? null;
  try {
    const etag = await putRecord(world, { owner: world.runner, cursor }, found?.etag ?? null);
    return { cursor, etag };
  } catch (error) {
    if (isKind(error, "conflict")) return undefined;
    throw error;
  }
}

function putRecord(
  world: RunnerWorld,
  content: Pick<SweepRecord, "owner" | "cursor">,
  ifMatch: Etag | null,
): Promise<Etag> {
  const record: SweepRecord = {
    schema: 1,
    ...content,
    updated_at: world.clock.now().toISOString(),
  };
  const body = Buffer.from(JSON.stringify(record));
  return world.store.put(systemKeys.sweep, body, { ifMatch, durability: "recomputable" });
}

/** An unreadable record is an empty one: the sweep begins at the start. */
function parseRecord(body: Uint8Array): SweepRecord | undefined {
  try {
    return SweepRecord.parse(JSON.parse(Buffer.from(body).toString("utf8")));
  } catch {
    return undefined;
  }
}
