/**
 * The end of a job: what it yields as a whole, and the message that says so.
 *
 *   rows all over? → claim items/_job.json → digest, merged graph → publish → message → complete
 *
 * Whoever's write of `status.json` finds every item over comes here, and so does every repeated tail,
 * before its ticket goes: while a ticket is there, a crash at any point is made good. The rows decide:
 * for the same rows it is done once, and an item that is on its way again ends it for now.
 */
import { ClipscribeError, asClipscribeError, isKind, toErrorRecord } from "../core/errors.ts";
import type { ErrorRecord } from "../core/errors.ts";
import type { JobId, Sha256 } from "../core/ids.ts";
import {
  MAX_JOB_PART_CLAIMS,
  claimJobPart,
  endJobPart,
  nameManifest,
  planJobPart,
} from "../core/job-part.ts";
import { countRows, digestOfRows, isOneOff, messageIdOf, sumOfRows } from "../core/job-digest.ts";
import { parseTicketKey } from "../core/keys.ts";
import type { UserKeys } from "../core/keys.ts";
import type { Delivery, Digest } from "../core/message-records.ts";
import { isNobody } from "../core/recipients.ts";
import type { Notify } from "../core/recipients.ts";
import type { Metadata } from "../core/records.ts";
import type { ArtifactShelf } from "./artifact-shelf.ts";
import { composeMessage } from "./compose-message.ts";
import type { JobMetadata } from "./job-metadata.ts";
import { readStatus } from "./job-rows.ts";
import type { FinishedJob } from "./job-rows.ts";
import type { Liveness } from "./liveness.ts";
import { makeDigest } from "./make-digest.ts";
import type { NewMessage } from "./outbox.ts";
import { keepJobFiles, readJobPart, showJobFiles, swapJobPart } from "./publish-job.ts";
import type { JobPartVersion } from "./publish-job.ts";
import type { RunnerWorld } from "./world.ts";

/** A job of ten thousand items takes minutes; a living runner that takes longer is stuck. */
const MAX_WAIT_MS = 10 * 60_000;
const LOOKS_A_LEASE = 4;
/** Rows that change while a job is finished make it start over; more would be a storm. */
const MAX_ROUNDS = 20;

export interface JobFinisher {
  /**
   * Resolves once what the job yields is made for its rows of now and its message is in the outbox,
   * by whomever; or where nothing is to be done: it is not finished, or wants nothing.
   */
  finish(job: JobId): Promise<void>;
  /** The same, for whoever has just read the job. */
  onFinished(finished: FinishedJob): Promise<void>;
}

export interface FinisherOptions {
  world: RunnerWorld;
  keys: UserKeys;
  shelf: ArtifactShelf;
  jobs: JobMetadata;
  liveness: Pick<Liveness, "isAlive" | "lost">;
  /** Aborts what waits for others. */
  stopping?: AbortSignal | undefined;
  putMessage: (message: NewMessage) => Promise<void>;
}

export function openJobFinisher(options: FinisherOptions): JobFinisher {
  const { world, keys, jobs, liveness } = options;
  const { store } = world;
  /** One at a time a job, in this process. */
  const turns = new Map<JobId, Promise<void>>();

  async function finishNow(job: JobId): Promise<void> {
    const waitUntilMs = world.clock.monotonicMs() + MAX_WAIT_MS;
    for (let round = 0; round < MAX_ROUNDS;) {
      // First the claim, then the rows: a claim by older rows than somebody's since loses its swap.
      const found = await readJobPart(store, keys, job);
      const status = (await readStatus(store, keys, job))?.status;
      if (status?.status !== "finished") return;
      const metadata = await jobs.read(job);
      const told = await recipientsOf(metadata, world);
      if (!isWanted(metadata, told)) return;
      const rows = digestOfRows(status.rows);
      const owner = found?.part.owner ?? null;
      // Its own claim, of before: nobody in this process works on it.
      const ownerIsAlive =
        owner !== null && owner !== world.runner && (await liveness.isAlive(owner));
      const decision = planJobPart(found?.part, rows, { ownerIsAlive });
      if (decision === "done") return;
      if (decision === "leave" && world.clock.monotonicMs() < waitUntilMs) {
        // Its owner may have come by the ticket that waits here: it goes once the work is seen to be
        // done, or the owner is seen to be dead and the work is this runner's.
        await world.clock.sleep(world.clocks.leaseMs / LOOKS_A_LEASE, options.stopping);
        continue;
      }
      round++;
      if (decision === "leave") break;
      if (await isOnItsWay(keys, world, { metadata, status })) return;
      try {
        const by = { owner: world.runner, now: world.clock.now() };
        const claimed = claimJobPart(
          found?.part,
          { job_id: job, user: world.user, rows_sha256: rows },
          by,
        );
        const version = await swapJobPart(store, keys, claimed, found?.etag ?? null);
        await work(version, { metadata, status }, told, decision === "give-up");
        return;
      } catch (error) {
        // Somebody was faster, with these rows or with newer ones: look again.
        if (!isKind(error, "conflict")) throw error;
      }
    }
    throw new ClipscribeError("transient", "a job can't be finished now: others are at it", {
      details: { job },
    });
  }

  async function work(
    claimed: JobPartVersion,
    finished: FinishedJob,
    told: Notify,
    giveUp: boolean,
  ): Promise<void> {
    let version = claimed;
    const { epoch, job_id: job } = claimed.part;
    const by = () => ({ owner: world.runner, epoch, now: world.clock.now() });
    try {
      const { digest, error, files } = await make(finished, giveUp);
      if (digest !== null && hasFiles(finished.metadata)) {
        const about = {
          job_id: job,
          rows_sha256: claimed.part.rows_sha256,
          clipscribe_version: world.version,
          made_at: finished.status.updated_at,
        };
        const manifest = await keepJobFiles(options.shelf, files, about, liveness.lost);
        const named = nameManifest(version.part, by(), manifest);
        version = await swapJobPart(store, keys, named, version.etag);
        await showJobFiles(store, keys, job);
      }
      await options.putMessage(messageOf(finished, digest, error, told));
      await swapJobPart(store, keys, endJobPart(version.part, by(), error), version.etag);
    } catch (error) {
      // Given back at once: others need not wait until this runner is dead.
      const free = { ...version.part, owner: null };
      await swapJobPart(store, keys, free, version.etag).catch(() => undefined);
      throw error;
    }
  }

  /** What the program can't make is said in the message, and ends nothing else. */
  async function make(
    finished: FinishedJob,
    giveUp: boolean,
  ): Promise<{ digest: Digest | null; error: ErrorRecord | null; files: JobFiles }> {
    const { job_id: job } = finished.metadata;
    try {
      if (giveUp) {
        const message = `gave up on the job's digest: ${MAX_JOB_PART_CLAIMS} tries ended nothing`;
        throw new ClipscribeError("contract", message, {
          hint: "look at the runners' logs; the items' own results are there",
        });
      }
      return { ...(await makeDigest(store, keys, finished, liveness.lost)), error: null };
    } catch (thrown) {
      const error = asClipscribeError(thrown);
      if (isKind(error, "transient", "denied", "cancelled", "conflict")) throw error;
      world.log.error("a job's digest could not be made", { job, error: toErrorRecord(error) });
      return { digest: null, error: toErrorRecord(error), files: [] };
    }
  }

  function messageOf(
    { metadata, status }: FinishedJob,
    digest: Digest | null,
    error: ErrorRecord | null,
    told: Notify,
  ): NewMessage {
    const { job_id: job } = metadata;
    const id: Sha256 = messageIdOf(world.user, job, digestOfRows(status.rows));
    const story = {
      job,
      user: world.user,
      digest,
      error,
      counts: digest?.counts ?? countRows(Object.values(status.rows)),
      costUsd: digest?.cost_usd ?? sumOfRows(Object.values(status.rows)),
      resultsUrl: world.mail.resultsUrl(job),
      hasDigest: digest !== null && hasFiles(metadata),
    };
    return { id, job, ...composeMessage(story, id), deliveries: deliveriesOf(told) };
  }

  async function inTurn(job: JobId): Promise<void> {
    const before = turns.get(job) ?? Promise.resolve();
    const turn = before.catch(() => undefined).then(async () => finishNow(job));
    turns.set(job, turn);
    try {
      await turn;
    } finally {
      if (turns.get(job) === turn) turns.delete(job);
    }
  }

  return {
    finish: inTurn,
    async onFinished({ metadata }) {
      // A single file that nobody wants to hear of: not one operation more.
      if (!isWanted(metadata, await recipientsOf(metadata, world))) return;
      await inTurn(metadata.job_id);
    },
  };
}

type JobFiles = Awaited<ReturnType<typeof makeDigest>>["files"];

/** A digest of one item says what its report says: only a message may be wanted of such a job. */
function hasFiles({ items }: Metadata): boolean {
  return items.length > 1;
}

function isWanted(metadata: Metadata, told: Notify): boolean {
  return hasFiles(metadata) || !isNobody(told);
}

/** Whom the job names, else its pipeline, else the settings; whoever runs a one-off sits before it. */
async function recipientsOf(
  { job_id: job, notify, pipeline }: Metadata,
  { pipelines, mail }: RunnerWorld,
): Promise<Notify> {
  if (!isNobody(notify) || isOneOff(job)) return notify;
  return (await pipelines.find(pipeline.digest))?.notify ?? mail.defaults;
}

function deliveriesOf({ email, webhook }: Notify): Delivery[] {
  const waiting = (channel: Delivery["channel"], to: string | null): Delivery => ({
    channel,
    to,
    state: "waiting",
    at: null,
    error: null,
  });
  const named = [
    ...(email === null ? [] : [waiting("email", email)]),
    ...(webhook === null ? [] : [waiting("webhook", webhook)]),
  ];
  return named.length > 0 ? named : [waiting("file", null)];
}

/**
 * An item with an outcome that has a newer ticket is on its way again: what ends that run finishes
 * the job. Fifty items that a person approved make one message, not fifty.
 */
async function isOnItsWay(
  keys: UserKeys,
  { store }: RunnerWorld,
  { metadata, status }: FinishedJob,
): Promise<boolean> {
  const prefix = `${keys.inbox(metadata.lane)}${metadata.job_id}/`;
  for await (const { key } of store.list(prefix)) {
    const address = parseTicketKey(key);
    if (address === undefined) continue;
    const row = status.rows[address.item];
    if (row !== undefined && address.run > row.run) return true;
  }
  return false;
}
