/** Hears of tickets from one queue, as long as there are slots for what it says. */
import { asClipscribeError, isKind, toErrorRecord } from "../core/errors.ts";
import type { Lane } from "../core/ids.ts";
import type { TicketAddress } from "../core/keys.ts";
import type { EventQueue, LeasedEvent } from "../ports/event-queue.ts";
import type { Adoptions } from "./adopt-drops.ts";
import { putPoison } from "./claim.ts";
import type { Dispatch } from "./dispatch.ts";
import type { Messages } from "./messages.ts";
import { parseObjectEvent } from "./object-event.ts";
import type { RunnerWorld } from "./world.ts";

/** A pull that finds nothing waits so long for a first message. */
const PULL_WAIT_MS = 20_000;
/** Messages of other people's work come back after this, doubled with each delivery. */
const FOREIGN_DELAY_MS = 250;
/**
 * A runner works for one user, and runners of others pull from the same queue: so often is their
 * message given back, until it counts as nobody's. Their sweep finds the ticket even then.
 */
const MAX_FOREIGN_DELIVERIES = 20;
/** Short: of two runners, the right one gets it at every second try. */
const OTHERS_DELAY_MS = 1_000;
const MAX_OTHERS_DELAY_MS = 5_000;
/** A check's message is left to it for so long; it asks every half second. */
const CHECK_DELAY_MS = 3_000;
/** A queue that refuses this runner is asked again after so long: somebody may have mended it. */
const REFUSED_MS = 10 * 60 * 1000;
/** Trouble of the queue is waited out so long at first, doubled each time. */
const TROUBLE_MS = 500;
const MAX_TROUBLE_MS = 30_000;

export interface PullOptions {
  world: RunnerWorld;
  dispatch: Dispatch;
  messages: Messages;
  accepts: (address: TicketAddress) => boolean;
  /** Null: drops are another runner's. */
  adoptions: Adoptions | null;
  stopping: AbortSignal;
}

/** Resolves once it is told to stop. */
export async function pullLane(options: PullOptions, lane: Lane): Promise<void> {
  const { world, dispatch, stopping } = options;
  const queue = world.queues[lane];
  let failures = 0;
  /** What it was last told not to have: said once for as long as it is so. */
  let trouble: string | undefined;
  while (queue !== undefined && !stopping.aborted) {
    const room = dispatch.room(lane);
    if (room === 0) {
      await dispatch.waitForChange();
      continue;
    }
    try {
      await pullOnce(options, lane, queue, room);
      if (trouble !== undefined) world.log.info("the queue answers again", { lane });
      [failures, trouble] = [0, undefined];
    } catch (error) {
      if (stopping.aborted) return;
      failures++;
      const isRefused = isKind(error, "denied", "config");
      const { message } = asClipscribeError(error);
      if (message !== trouble) {
        // The sweep goes on without the queue; where it refuses, only a person can change that.
        const about = { lane, error: toErrorRecord(error) };
        if (isRefused) {
          world.log.error("the queue refuses this runner: it goes on by the sweep alone", about);
        } else world.log.warn("the queue does not answer", about);
      }
      trouble = message;
      const waitMs = isRefused
        ? REFUSED_MS
        : Math.min(MAX_TROUBLE_MS, TROUBLE_MS * 2 ** Math.min(failures, 10));
      await world.clock.sleep(waitMs, stopping).catch(() => undefined);
    }
  }
}

async function pullOnce(
  options: PullOptions,
  lane: Lane,
  queue: EventQueue,
  max: number,
): Promise<void> {
  const events = await queue.pull({
    max,
    visibilityMs: 3 * options.world.clocks.leaseMs,
    waitMs: PULL_WAIT_MS,
    signal: options.stopping,
  });
  await Promise.all(events.map(async (event) => hear(options, lane, event)));
  options.dispatch.pump();
}

async function hear(
  { world, dispatch, messages, accepts, adoptions }: PullOptions,
  lane: Lane,
  event: LeasedEvent,
): Promise<void> {
  const meaning = parseObjectEvent(event.body);
  const giveBack = async (): Promise<void> =>
    messages.giveBack(lane, event.leaseId, FOREIGN_DELAY_MS * 2 ** Math.min(event.attempts, 10));
  if (meaning.kind === "ticket" && meaning.address.user === world.user) {
    if (!accepts(meaning.address)) return giveBack();
    return dispatch.add(meaning.key, meaning.address, event.leaseId);
  }
  if (meaning.kind === "drop" && meaning.user === world.user) {
    if (adoptions === null) return giveBack();
    adoptions.add(meaning.key, { lane, leaseId: event.leaseId });
    return;
  }
  const isOfOthers = meaning.kind === "ticket" || meaning.kind === "drop";
  if (isOfOthers && event.attempts <= MAX_FOREIGN_DELIVERIES) {
    const delayMs = Math.min(MAX_OTHERS_DELAY_MS, OTHERS_DELAY_MS * event.attempts);
    return messages.giveBack(lane, event.leaseId, delayMs);
  }
  if (meaning.kind === "check") return messages.giveBack(lane, event.leaseId, CHECK_DELAY_MS);
  if (meaning.kind === "unreadable") {
    await putPoison(world, Buffer.from(event.body), `message in ${lane}`);
  }
  await messages.acknowledge(lane, [event.leaseId]);
}
