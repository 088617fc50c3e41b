/**
 * A claim's work from its first stage to the write that ends it: published, failed, held, cancelled
 * or given back. The tail is the caller's, since it needs no slot.
 */
import { asClipscribeError, isDiskFull, isHeld, isKind, toErrorRecord } from "../core/errors.ts";
import type { ClipscribeError } from "../core/errors.ts";
import { endRun, publishItem, requeueItem } from "../core/item-state.ts";
import type { UserKeys } from "../core/keys.ts";
import type { CheckedPipeline } from "../core/pipeline.ts";
import type { ItemState, Metadata, Ticket } from "../core/records.ts";
import type { ArtifactShelf } from "./artifact-shelf.ts";
import { executeItem } from "./execute-item.ts";
import { goOnIfResumed } from "./go-on-if-resumed.ts";
import { CancelledByPerson, ClaimLost, Drained, PausedByPerson } from "./interruptions.ts";
import type { Budgets } from "./budgets.ts";
import { openItemLog } from "./item-log.ts";
import { openItemMoney } from "./item-money.ts";
import { openItemProgress, writeOwned } from "./item-progress.ts";
import type { ItemProgress } from "./item-progress.ts";
import type { ItemVersion } from "./item-record.ts";
import { openWorkFiles } from "./item-run.ts";
import type { ItemRun } from "./item-run.ts";
import type { JobMetadata } from "./job-metadata.ts";
import type { Liveness } from "./liveness.ts";
import type { LookAhead } from "./look-ahead.ts";
import { preparePublish } from "./publish.ts";
import { RetryLater } from "./run-stage.ts";
import { openCalls } from "./open-calls.ts";
import type { Pools } from "./pools.ts";
import type { StageCache } from "./stage-cache.ts";
import type { EndedItem } from "./tail.ts";
import type { RunnerWorld } from "./world.ts";

/** The first wait after trouble outside a stage; doubles with each attempt. */
const RETRY_MS = 1_000;
const MAX_RETRY_MS = 60_000;

export interface Workshop {
  world: RunnerWorld;
  keys: UserKeys;
  shelf: ArtifactShelf;
  cache: StageCache;
  liveness: Liveness;
  jobs: JobMetadata;
  budgets: Budgets;
  poolsOf: (pipeline: CheckedPipeline) => Pools;
}

/** What the runner tells a claim's work while it goes on. */
export interface WorkControl {
  readonly abort: AbortController;
  /** Set once a person paused the job: no further stage starts. */
  paused: boolean;
}

export interface Claimed {
  version: ItemVersion;
  ticket: Ticket;
  pipeline: CheckedPipeline;
  ahead: LookAhead;
}

export type WorkEnd =
  /** The run is over: the tail follows. */
  | ({ end: "ended" } & EndedItem)
  /** The item is in the queue again. */
  | { end: "requeued"; delayMs: number }
  /** Another runner has it. */
  | { end: "lost" };

export async function workItem(
  shop: Workshop,
  claimed: Claimed,
  control: WorkControl,
): Promise<WorkEnd> {
  const { abort } = control;
  const { world, keys } = shop;
  const { ticket, pipeline, version, ahead } = claimed;
  const key = keys.item(ticket.job_id, ticket.item_id);
  const money = openItemMoney({
    world,
    pipeline,
    ticket,
    shelf: shop.shelf,
    budgets: shop.budgets,
    spentUsd: version.state.cost,
    onPaid: () => progress.onPaid(),
  });
  const progress = openItemProgress({
    world,
    key,
    claimed: version,
    stageCount: pipeline.stages.length,
    spentUsd: () => money.spentUsd,
    abort: (reason) => abort.abort(reason),
  });
  const { job_id, item_id, run } = ticket;
  const log = openItemLog(world.store, keys.log(job_id, item_id, run), world.clock);
  using files = openWorkFiles(world, ticket, shop.shelf, version.state.epoch, ahead.source);
  const obeyAll = ({ control: wanted }: Metadata): void => {
    obey(wanted);
    money.obey(wanted);
  };
  const work: ItemRun = {
    world,
    keys,
    ticket,
    pipeline,
    pools: shop.poolsOf(pipeline),
    shelf: shop.shelf,
    cache: shop.cache,
    log,
    money,
    signal: abort.signal,
    isAlive: (other) => shop.liveness.isAlive(other),
    assertAlive: () => shop.liveness.assertAlive(),
    calls: openCalls(world),
    before: version.state.stages,
    onStage: progress.onStage,
    files,
    ahead,
    isPaused: () => control.paused,
    checkControl: async () => obeyAll(await shop.jobs.read(job_id)),
  };
  world.listener({
    type: "item-claimed",
    job_id,
    item_id,
    run,
    stages: pipeline.stages.map(({ id }) => id),
  });
  try {
    obeyAll((await ahead.metadata) ?? (await shop.jobs.read(job_id)));
    const finished = await executeItem(work, (reason) => abort.abort(reason));
    const published = await preparePublish(work, finished, money.spentUsd);
    const resultsKey = keys.results(job_id, item_id);
    const outcome = published.manifest.outcome;
    const ended = await end(shop, key, progress, (state, by) =>
      publishItem(state, by, outcome, {
        manifest: published.ref,
        resultsKey,
        stages: progress.stages,
        cost: money.spentUsd,
        estimateUsd: money.estimateUsd,
      }),
    );
    return { ...ended, manifest: published.manifest };
  } catch (thrown) {
    const { attempts } = version.state;
    return await endEarly(shop, key, { work, progress, attempts }, asClipscribeError(thrown));
  } finally {
    await work.calls.close();
    await log.save().catch((error: unknown) => {
      world.log.warn("the item's log could not be kept", { error });
    });
  }
}

/** @throws what ends the work when a person said so. */
function obey(control: Metadata["control"]): void {
  if (control.state === "cancelled") throw new CancelledByPerson();
  if (control.state === "paused") throw new PausedByPerson();
}

type Transition = (
  state: ItemState,
  by: { owner: ItemRun["world"]["runner"]; epoch: number; now: Date },
) => ItemState;

async function end(
  shop: Workshop,
  key: ReturnType<UserKeys["item"]>,
  progress: ItemProgress,
  transition: Transition,
): Promise<{ end: "ended" } & ItemVersion> {
  const { world } = shop;
  const current = await progress.settle();
  const { epoch } = current.state;
  const ended = await writeOwned(world, key, current, (state) =>
    transition(state, { owner: world.runner, epoch, now: world.clock.now() }),
  );
  return { end: "ended", ...ended };
}

async function endEarly(
  shop: Workshop,
  key: ReturnType<UserKeys["item"]>,
  { work, progress, attempts }: { work: ItemRun; progress: ItemProgress; attempts: number },
  error: ClipscribeError,
): Promise<WorkEnd> {
  if (error instanceof ClaimLost || error.kind === "conflict") {
    await progress.settle();
    return { end: "lost" };
  }
  const { money, world } = work;
  try {
    if (error instanceof Drained) {
      await end(shop, key, progress, (state, by) =>
        requeueItem({ ...state, stages: settled(progress) }, by, { kind: "drained" }),
      );
      return { end: "requeued", delayMs: 0 };
    }
    if (error.kind === "transient") {
      const delayMs = error instanceof RetryLater ? error.retryInMs : retryMs(world, attempts);
      // By the store's clock, which all runners share.
      const notBefore = new Date(shop.liveness.storeNow().getTime() + delayMs);
      const isOwn = !isDiskFull(error);
      const retry = { kind: "retry" as const, notBefore, error: toErrorRecord(error), isOwn };
      await end(shop, key, progress, (state, by) =>
        requeueItem({ ...state, stages: settled(progress) }, by, retry),
      );
      return { end: "requeued", delayMs };
    }
    const status = statusOf(error);
    work.log.add(null, "error", `the run ended: ${status}`, toErrorRecord(error));
    const ended = await end(shop, key, progress, (state, by) =>
      endRun(state, by, {
        status,
        error: toErrorRecord(error),
        stages: settled(progress),
        cost: money.spentUsd,
        estimateUsd: money.estimateUsd,
      }),
    );
    const isByPerson = error instanceof PausedByPerson || error instanceof CancelledByPerson;
    if (isByPerson && ended.end === "ended") {
      const { keys, jobs } = shop;
      await goOnIfResumed({ store: world.store, clock: world.clock, keys, jobs }, ended.state);
    }
    return ended;
  } catch (second) {
    if (isKind(second, "conflict")) return { end: "lost" };
    throw second;
  }
}

function statusOf(error: ClipscribeError): "failed" | "held" | "cancelled" {
  if (error.kind === "cancelled") return "cancelled";
  return isHeld(error) ? "held" : "failed";
}

/** A stage that was under way has not happened; its tries are kept for the next claim. */
function settled(progress: ItemProgress): ItemState["stages"] {
  const stages: ItemState["stages"] = {};
  for (const [id, record] of Object.entries(progress.stages)) {
    if (record.state !== "running") stages[id] = record;
    else if (record.tries > 0) stages[id] = { ...record, state: "failed" };
  }
  return stages;
}

function retryMs(world: RunnerWorld, attempts: number): number {
  const waitMs = Math.min(MAX_RETRY_MS, RETRY_MS * 2 ** attempts);
  return waitMs * (0.5 + world.random() / 2);
}
