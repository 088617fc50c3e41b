/**
 * Runs an item's edge stages where its file is, before the ticket: with the engine of the runner,
 * so that cache, keys, retries, time limits, sandbox and reasons are the same. What they make is in
 * the bucket when it returns, so a ticket that lists it never speaks of something half uploaded.
 */
import { setMaxListeners } from "node:events";

import { edgePart } from "../core/edge.ts";
import { asClipscribeError } from "../core/errors.ts";
import type { ClipscribeError } from "../core/errors.ts";
import type { Sha256 } from "../core/ids.ts";
import { keysOf } from "../core/keys.ts";
import type { CheckedPipeline } from "../core/pipeline.ts";
import type { StageRecord, Ticket } from "../core/records.ts";
import { ageingOf, openArtifactShelf } from "./artifact-shelf.ts";
import type { ArtifactShelf } from "./artifact-shelf.ts";
import { executeItem } from "./execute-item.ts";
import { openItemLog } from "./item-log.ts";
import { openCalls } from "./open-calls.ts";
import type { ItemMoney } from "./item-money.ts";
import { openWorkFiles } from "./item-run.ts";
import type { ItemRun } from "./item-run.ts";
import { NO_LOOK_AHEAD } from "./look-ahead.ts";
import { patientCache, patientShelf, untilReached } from "./patient.ts";
import { describePrepared } from "./prepared-stages.ts";
import type { Prepared } from "./prepared-stages.ts";
import { RetryLater } from "./run-stage.ts";
import { createPools } from "./pools.ts";
import { openStageCache } from "./stage-cache.ts";
import type { RunnerWorld } from "./world.ts";

/** A stage whose retry is far away is waited for here: there is no queue to give the item back to. */
const MAX_RETRIES_LATER = 10;

export interface PrepareRequest {
  /** As it will be written, without what edge stages make; its source is looked up in the ledger. */
  ticket: Ticket;
  /** What earlier runs of the item recorded of each stage. */
  before?: Readonly<Record<string, StageRecord>>;
  signal: AbortSignal;
}

export interface PreparedItem extends Prepared {
  /** Every edge stage that ended, with why it ran. */
  stages: Record<string, StageRecord>;
  /** Null where the item can go on. */
  error: ClipscribeError | null;
}

/** A file that a stage has made; gone after `sendFile` returns. */
export interface MadeFile {
  path: string;
  sha256: Sha256;
  sizeBytes: number;
  mediaType: string;
  fileName: string | null;
}

export interface PreparerOptions {
  /** What people call this machine: "made on …". */
  device: string;
  /** Brings a file into the bucket as a blob; `transient` is waited out here. */
  sendFile: (file: MadeFile, signal: AbortSignal) => Promise<void>;
}

export interface Preparer {
  readonly pipeline: CheckedPipeline;
  /** Several at once share the pools' slots. @throws only `cancelled`, and `bug`. */
  prepare(request: PrepareRequest): Promise<PreparedItem>;
}

export function openPreparer(
  world: RunnerWorld,
  pipeline: CheckedPipeline,
  { device, sendFile }: PreparerOptions,
): Preparer {
  const keys = keysOf(world.user);
  const until = untilReached(world.clock, world.log);
  const own = openArtifactShelf(world.store, keys, world.defences, ageingOf(world));
  const shelf = patientShelf({ ...own, keep: keepBySending(own, sendFile) }, until);
  const ownCache = openStageCache(world.store, keys, shelf, world.log, world.defences);
  const cache = patientCache(ownCache, until);
  const pools = createPools(pipeline.pools, world.cores);
  const edge = edgePart(pipeline);

  /** Fills in `stages` as they end. @throws RetryLater where a stage is to be tried much later. */
  async function prepareOnce(
    { ticket, signal }: PrepareRequest,
    before: Readonly<Record<string, StageRecord>>,
    stages: Record<string, StageRecord>,
  ): Promise<PreparedItem> {
    const abort = new AbortController();
    const either = AbortSignal.any([signal, abort.signal]);
    setMaxListeners(0, either);
    const { job_id, item_id, run: number } = ticket;
    await using files = openWorkFiles(world, ticket, shelf, 0);
    const log = openItemLog(world.store, keys.log(job_id, item_id, number), world.clock);
    const run: ItemRun = {
      world,
      keys,
      ticket,
      pipeline: edge,
      pools,
      shelf,
      cache,
      log,
      money: NO_MONEY,
      signal: either,
      isAlive: () => Promise.resolve(false),
      assertAlive: () => undefined,
      calls: openCalls(world),
      before,
      onStage: (id, record) => void (stages[id] = record),
      files,
      ahead: NO_LOOK_AHEAD,
      isPaused: () => false,
      checkControl: () => Promise.resolve(),
    };
    try {
      const finished = await executeItem(run, (reason) => abort.abort(reason));
      return { stages, ...(await describePrepared(run, finished, device)), error: null };
    } catch (thrown) {
      if (signal.aborted) throw asClipscribeError(signal.reason);
      const error = asClipscribeError(thrown);
      if (error instanceof RetryLater) throw error;
      // What was under way when another stage failed has not happened.
      for (const [id, { state }] of Object.entries(stages)) {
        if (state === "running") delete stages[id];
      }
      return { stages, prepared: [], artifacts: [], error };
    } finally {
      await log.save().catch((error: unknown) => {
        world.log.warn("the item's log could not be kept", { error });
      });
    }
  }

  return {
    pipeline,
    async prepare(request) {
      const stages: Record<string, StageRecord> = {};
      if (edge.stages.length === 0) return { stages, prepared: [], artifacts: [], error: null };
      for (let later = 0; ; later++) {
        try {
          // The tries that were spent count on: a stage has as many as the pipeline says.
          return await prepareOnce(request, { ...request.before, ...stages }, stages);
        } catch (error) {
          if (!(error instanceof RetryLater) || later >= MAX_RETRIES_LATER) throw error;
          await world.clock.sleep(error.retryInMs, request.signal);
        }
      }
    },
  };
}

/** Files leave a laptop as its originals do; texts go with their cache entry, or as one request. */
function keepBySending(
  shelf: ArtifactShelf,
  sendFile: PreparerOptions["sendFile"],
): ArtifactShelf["keep"] {
  return async (made, signal) => {
    const { content, sha256, sizeBytes, mediaType, fileName } = made;
    if (content.kind !== "file") return shelf.keep(made, signal);
    await sendFile({ path: content.path, sha256, sizeBytes, mediaType, fileName }, signal);
    return { sha256, size: sizeBytes, media_type: mediaType, file_name: fileName, inline: null };
  };
}

/** No edge stage has a provider: `validate` sees to it. */
const NO_MONEY: ItemMoney = {
  spentUsd: 0,
  estimateUsd: null,
  obey: () => undefined,
  reserve: (usd) => Promise.reject(new Error(`an edge stage wants ${usd} dollars`)),
};
