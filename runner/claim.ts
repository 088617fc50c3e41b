/**
 * From a ticket to a claim, or to what else has to be done with it. Messages and listings are only
 * hints: the item's state decides, and one compare-and-swap takes it.
 */
import { isDeepStrictEqual } from "node:util";

import { sha256Of } from "../core/digest.ts";
import { isKind, toErrorRecord, ClipscribeError } from "../core/errors.ts";
import { claimItem, endRun, planClaim, queueItem } from "../core/item-state.ts";
import { systemKeys } from "../core/keys.ts";
import type { ObjectKey, TicketAddress, UserKeys } from "../core/keys.ts";
import { assertKnownVersion } from "../core/known-version.ts";
import type { CheckedPipeline } from "../core/pipeline.ts";
import { Ticket } from "../core/records.ts";
import type { ItemState } from "../core/records.ts";
import { getIfPresent } from "../ports/get-if-present.ts";
import { readItem, swapItem } from "./item-record.ts";
import type { ItemVersion } from "./item-record.ts";
import type { Liveness } from "./liveness.ts";
import type { LookAhead } from "./look-ahead.ts";
import type { OfficeWorld, RunnerWorld } from "./world.ts";

export type Verdict =
  | {
      action: "claimed";
      version: ItemVersion;
      ticket: Ticket;
      pipeline: CheckedPipeline;
      ahead: LookAhead;
    }
  | { action: "finish-tail"; state: ItemState; ticket: Ticket }
  /** A newer run has begun: what is published is shown, and the ticket goes. */
  | { action: "end-superseded"; version: ItemVersion; ticket: Ticket }
  /** Nothing is to do, now or later. */
  | { action: "done"; why: string }
  /** Look again after `ms`. */
  | { action: "later"; ms: number; why: string };

/** Two runners that race for one item settle it in one round; more is a storm. */
const MAX_RACES = 5;
/** The longest description that yt-dlp finds is a hundredth of it. */
const MAX_TICKET_BYTES = 512 * 1024;
/** Of an unreadable object so much is kept for a person: all of what could be a ticket. */
const MAX_POISON_BYTES = 512 * 1024;
/** A ticket of a pipeline that this runner does not have is another's; look again rarely. */
const FOREIGN_PIPELINE_MS = 30_000;

export interface ClaimContext {
  world: RunnerWorld;
  keys: UserKeys;
  liveness: Liveness;
  /** True while this process works on the item under its present claim. */
  isActive: (item: TicketAddress) => boolean;
  /** Begun with the claim's write. */
  lookAhead: (ticket: Ticket, pipeline: CheckedPipeline) => LookAhead;
}

export async function claimTicket(context: ClaimContext, address: TicketAddress): Promise<Verdict> {
  const { world, keys } = context;
  const ticketKey = keys.ticket(address.lane, address.job, address.item, address.run);
  const itemKey = keys.item(address.job, address.item);
  let current = await readItem(world.store, itemKey);
  const ticket = await readTicket(world, ticketKey, address, current?.state.input);
  if (ticket === undefined) return { action: "done", why: "superseded" };
  for (let race = 0; race < MAX_RACES; race++) {
    current ??=
      (await readItem(world.store, itemKey)) ?? (await createItem(world, itemKey, ticket));
    const verdict = await decide(context, address, ticket, current);
    if (verdict !== "lost-race") return verdict;
    current = undefined;
  }
  return { action: "later", ms: world.clocks.leaseMs, why: "others are faster" };
}

async function decide(
  context: ClaimContext,
  address: TicketAddress,
  ticket: Ticket,
  current: ItemVersion,
): Promise<Verdict | "lost-race"> {
  const { state } = current;
  const facts = {
    now: context.liveness.storeNow(),
    ownerIsAlive: await hasLivingOwner(context, address, state),
  };
  const decision = planClaim(state, ticket, facts);
  switch (decision.action) {
    case "delete-ticket":
      return { action: "end-superseded", version: current, ticket };
    case "finish-tail":
      return { action: "finish-tail", state, ticket };
    case "wait":
      return { action: "later", ms: decision.ms, why: "it is to be tried again then" };
    case "leave":
      return { action: "later", ms: context.world.clocks.leaseMs, why: "another runner has it" };
    case "fail":
      return fail(context, ticket, current, decision.why);
    case "claim":
      return claim(context, ticket, current);
  }
}

async function claim(
  context: ClaimContext,
  ticket: Ticket,
  current: ItemVersion,
): Promise<Verdict | "lost-race"> {
  const { world, keys } = context;
  const pipeline = await world.pipelines.find(ticket.pipeline_digest);
  if (pipeline === undefined) {
    return { action: "later", ms: FOREIGN_PIPELINE_MS, why: "its pipeline is not loaded here" };
  }
  const claimed = claimItem(current.state, ticket, world.runner, world.clock.now());
  if (!world.defences.attemptsBeforeWork) {
    claimed.attempts = current.state.attempts;
    claimed.fruitless_claims = current.state.fruitless_claims;
  }
  const key = keys.item(ticket.job_id, ticket.item_id);
  const expected = world.defences.claimIfMatch ? current.etag : undefined;
  try {
    // A power cut ends all who might have the item: the first claim of a run may then be forgotten,
    // a later one is counted whatever happens, since the item may be what brings the machine down.
    const durability = claimed.attempts > 1 ? "synced" : "whole";
    const swapped = swapItem(world.store, key, claimed, expected, durability);
    const ahead = context.lookAhead(ticket, pipeline);
    return { action: "claimed", version: await swapped, ticket, pipeline, ahead };
  } catch (error) {
    if (isKind(error, "conflict")) return "lost-race";
    throw error;
  }
}

/** Ends an item that only ever brings its runners down; claimed and failed in one write. */
async function fail(
  context: ClaimContext,
  ticket: Ticket,
  current: ItemVersion,
  why: string,
): Promise<Verdict | "lost-race"> {
  const { world, keys } = context;
  const now = world.clock.now();
  const error = new ClipscribeError("contract", `gave up on the item: ${why}`, {
    details: { last_stage: current.state.stage ?? undefined },
    hint: "look at its log; run it again once the cause is gone: finished stages are kept",
  });
  const { attempts } = current.state;
  const claimed = { ...claimItem(current.state, ticket, world.runner, now), attempts };
  const failed = endRun(
    claimed,
    { owner: world.runner, epoch: claimed.epoch, now },
    { status: "failed", error: toErrorRecord(error), stages: claimed.stages, cost: claimed.cost },
  );
  try {
    const key = keys.item(ticket.job_id, ticket.item_id);
    await swapItem(world.store, key, failed, current.etag);
    return { action: "finish-tail", state: failed, ticket };
  } catch (raced) {
    if (isKind(raced, "conflict")) return "lost-race";
    throw raced;
  }
}

/** A claim of this runner that no work belongs to is as dead as one of a dead runner. */
async function hasLivingOwner(
  context: ClaimContext,
  address: TicketAddress,
  state: ItemState,
): Promise<boolean> {
  if (state.status !== "processing" || state.owner === null) return false;
  if (state.owner === context.world.runner) return context.isActive(address);
  if (!context.world.defences.livenessBeforeTakeover) return false;
  return context.liveness.isAlive(state.owner);
}

/** A ticket without a state: its writer died in between, or another tool wrote it. */
async function createItem(
  world: RunnerWorld,
  key: ObjectKey,
  ticket: Ticket,
): Promise<ItemVersion> {
  const queued = queueItem(ticket, world.clock.now());
  try {
    return await swapItem(world.store, key, queued, null);
  } catch (error) {
    const found = isKind(error, "conflict") ? await readItem(world.store, key) : undefined;
    if (found === undefined) throw error;
    return found;
  }
}

/** `known`: what the item's state holds, which is the same but for a new run. */
async function readTicket(
  world: RunnerWorld,
  key: ObjectKey,
  address: TicketAddress,
  known: Ticket | null | undefined,
): Promise<Ticket | undefined> {
  const body = await readBounded(world, key);
  if (body === undefined) return undefined;
  if (body.length > MAX_TICKET_BYTES) {
    throw new ClipscribeError("contract", "a ticket is too large to be one", {
      details: { key },
      hint: "another tool wrote it: remove it, and submit the file again",
    });
  }
  const ticket = parseTicket(key, body, known);
  const { lane, user, job, item, run } = address;
  const fits =
    ticket?.lane === lane &&
    ticket.user === user &&
    ticket.job_id === job &&
    ticket.item_id === item &&
    ticket.run === run;
  if (ticket !== undefined && fits) return ticket;
  // What is taken away for good is looked at twice: bytes may be damaged on their way.
  const again = await readBounded(world, key);
  if (again === undefined) return undefined;
  if (!Buffer.from(again).equals(body)) {
    throw new ClipscribeError("transient", "a ticket was answered in two ways", {
      details: { key },
    });
  }
  await putPoison(world, body, `ticket ${key}`);
  await world.store.delete(key);
  return undefined;
}

/** One byte more than a ticket may have tells that it is too large; whatever else is not read. */
async function readBounded(
  { store }: RunnerWorld,
  key: ObjectKey,
): Promise<Uint8Array | undefined> {
  const range = { start: 0, end: MAX_TICKET_BYTES };
  try {
    return (await getIfPresent(store, key, { range }))?.body;
  } catch (error) {
    // Of nothing, there is no range.
    if (isKind(error, "contract")) return new Uint8Array();
    throw error;
  }
}

/** Undefined for what is no ticket; what a newer version wrote is thrown. */
function parseTicket(
  key: ObjectKey,
  body: Uint8Array,
  known: Ticket | null | undefined,
): Ticket | undefined {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(body).toString("utf8"));
  } catch {
    return undefined;
  }
  // Whoever waits for the item waits for this: what equals a checked one need not be checked.
  if (known != null && isDeepStrictEqual(value, known)) return known;
  assertKnownVersion(value, "a ticket", key);
  return Ticket.safeParse(value).data;
}

/** Keeps what can't be read where a person finds it; named by content, so once only. */
export async function putPoison(world: OfficeWorld, body: Uint8Array, from: string): Promise<void> {
  world.log.warn("something unreadable was put aside under sys/poison/", { from });
  const sha256 = sha256Of(body);
  const record = {
    schema: 1,
    from,
    size: body.length,
    sha256,
    at: world.clock.now().toISOString(),
    text: Buffer.from(body.subarray(0, MAX_POISON_BYTES)).toString("utf8"),
  };
  try {
    await world.store.put(systemKeys.poison(sha256), Buffer.from(JSON.stringify(record)), {
      ifMatch: null,
    });
  } catch (error) {
    if (!isKind(error, "conflict")) throw error;
  }
}
