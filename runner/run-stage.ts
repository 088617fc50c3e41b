/**
 * One stage of one item: its key, reuse or run, retries, and its cache entry. Throws only what
 * ends the item's run; a failed `optional` stage comes back as missing.
 */
import {
  ClipscribeError,
  asClipscribeError,
  isDiskFull,
  isHeld,
  toErrorRecord,
} from "../core/errors.ts";
import { explainRun } from "../core/plan.ts";
import type { Ingredients } from "../core/plan.ts";
import type { Sha256 } from "../core/ids.ts";
import type { CheckedStage } from "../core/pipeline.ts";
import type { CachedArtifact, StageCacheEntry, StageRecord } from "../core/records.ts";
import type { MadeArtifact } from "../ports/stage-pool.ts";
import type { FinishedStage, ItemRun } from "./item-run.ts";
import type { Provider, StageIdentity } from "./identify-stage.ts";
import { takePrepared } from "./prepared-stages.ts";
import { recogniseStage } from "./recognise-stage.ts";
import { sendInputs } from "./stage-inputs.ts";
import { createStageHost, digestOfPrompts, startMeter } from "./stage-host.ts";

/** The first wait of an exponential backoff; each further one doubles. */
const BACKOFF_MS = 1_000;
const MAX_BACKOFF_MS = 60_000;
/** A wait up to this long keeps the claim; a longer one gives the item back to the queue. */
export const MAX_WAIT_IN_CLAIM_MS = 10_000;

/** Ends this claim: the item goes back to the queue and is taken again at `retryInMs`. */
export class RetryLater extends ClipscribeError {
  readonly retryInMs: number;

  constructor(retryInMs: number, cause: ClipscribeError) {
    super("transient", cause.message, { cause, ...(cause.hint && { hint: cause.hint }) });
    this.retryInMs = retryInMs;
  }
}

/** How long an item waits for space: a person has to make it. */
const DISK_FULL_WAIT_MS = 30_000;

/** Ends this claim, and is held against neither the stage nor the item. */
export class WaitForSpace extends RetryLater {
  constructor(cause: ClipscribeError) {
    super(DISK_FULL_WAIT_MS, cause);
  }
}

/** A stage whose trouble looked transient, as often as the pipeline lets it be tried. */
class OutOfTries extends ClipscribeError {
  constructor(cause: ClipscribeError, tries: number) {
    super("contract", `gave up after ${tries} tries: ${cause.message}`, {
      cause,
      hint: cause.hint ?? "run it again once the cause is gone: finished stages are kept",
    });
  }
}

export async function runStage(
  run: ItemRun,
  stage: CheckedStage,
  finished: ReadonlyMap<string, FinishedStage>,
): Promise<FinishedStage> {
  const recognised =
    (await run.ahead.takeStage(stage.id)) ??
    (await recogniseStage(run, stage, finished, async (identity) =>
      takePrepared(run, stage, identity),
    ));
  switch (recognised.is) {
    case "missing":
      return skip(run, stage, recognised.artifact);
    case "prepared":
      return take(run, stage, recognised.finished);
    case "cached":
      return reuse(run, stage, recognised.entry, recognised.ingredients);
    case "new":
      return runNew(run, stage, finished, recognised.identities);
  }
}

async function runNew(
  run: ItemRun,
  stage: CheckedStage,
  finished: ReadonlyMap<string, FinishedStage>,
  identities: readonly (readonly [Provider | null, StageIdentity])[],
): Promise<FinishedStage> {
  let instead = "";
  for (const [index, [provider, identity]] of identities.entries()) {
    const before = await ingredientsBefore(run, stage, identity);
    const why = `${explainRun(before, identity.ingredients)}${instead}`;
    const tries = index === 0 ? (run.before[stage.id]?.tries ?? 0) : 0;
    const ended = await tryProvider({ run, stage, identity, provider, why, tries, finished });
    if ("entry" in ended) return ended;
    const next = identities[index + 1]?.[0];
    if (next == null || !isProvidersFault(ended.error) || run.signal.aborted) {
      return fail(run, stage, ended, { why, ingredients: identity.ingredients });
    }
    const name = `${next.provider}/${next.model}`;
    instead = `; ${name} instead: ${ended.error.message}`;
    run.log.add(stage.id, "warn", `goes on with the fallback ${name}`, toErrorRecord(ended.error));
  }
  throw new ClipscribeError("bug", "a stage has nobody to run it");
}

/** Out of reach after all tries, or refuses the account: another may do. */
function isProvidersFault(error: ClipscribeError): boolean {
  return error.kind === "denied" || error instanceof OutOfTries;
}

interface StageTry {
  run: ItemRun;
  stage: CheckedStage;
  identity: StageIdentity;
  provider: Provider | null;
  why: string;
  tries: number;
  finished: ReadonlyMap<string, FinishedStage>;
}

/** Returns the error that ended its tries; throws where the claim ends. */
async function tryProvider(
  attempt: StageTry,
): Promise<FinishedStage | { error: ClipscribeError; tries: number }> {
  const { run, stage, why, identity } = attempt;
  let { tries } = attempt;
  for (;;) {
    try {
      const entry = await runOnce({ ...attempt, tries });
      return finish(run, stage, entry, identity.ingredients, why);
    } catch (thrown) {
      const error = asClipscribeError(thrown);
      if (error.kind !== "transient" || run.signal.aborted) return { error, tries };
      if (isDiskFull(error)) {
        announceRetry(run, stage, error, tries + 1, DISK_FULL_WAIT_MS);
        throw new WaitForSpace(error);
      }
      tries++;
      if (tries >= stage.retry.attempts) return { error: new OutOfTries(error, tries), tries };
      await waitBeforeRetry(run, stage, error, tries, why);
    }
  }
}

async function runOnce(work: StageTry): Promise<FreshEntry> {
  const { run, stage } = work;
  const { key, bound, provenance, ingredients } = work.identity;
  const { world } = run;
  using slot = await run.pools(stage.pool).acquire(run.signal);
  const startedAt = world.clock.now();
  const about = { job_id: run.ticket.job_id, item_id: run.ticket.item_id, run: run.ticket.run };
  world.listener({ ...about, type: "stage-started", stage: stage.id, why: work.why });
  run.onStage(stage.id, record("running", work.why, startedAt, null, key, work.tries), false);

  const source = Object.values(bound).some(({ kind }) => kind === "source")
    ? await run.files.source(run.signal)
    : undefined;
  if (world.defences.sourceIdentity) await source?.verify();
  const sent = await sendInputs(run, bound, provenance);
  const scratchDir = run.files.scratchDir(stage.id);
  const meter = startMeter();
  const made = await world.pool.run(
    {
      bundlePath: stage.bundlePath,
      inputs: sent,
      params: { ...stage.params, ...stage.texts },
      scratchDir,
      provider: work.identity.provider,
    },
    createStageHost(work, sent, scratchDir, meter),
    { timeoutMs: stage.timeoutMs, signal: run.signal },
  );
  if (world.defences.sourceIdentity) await source?.verify();
  // Others may compute while this is sent: from a laptop that takes its time.
  slot[Symbol.dispose]();
  const artifacts = await keepAll(run, made);
  const entry: Omit<StageCacheEntry, "checksum"> = {
    schema: 1,
    kind: "stage",
    stage: stage.id,
    key,
    ingredients,
    artifacts,
    usage: meter.usage,
    cost: meter.costUsd,
    provider: meter.provider?.provider ?? namedIn(stage, made, "provider"),
    model: meter.provider?.model ?? namedIn(stage, made, "model"),
    prompt_digest: digestOfPrompts(meter),
    tools: meter.tools,
    started_at: startedAt.toISOString(),
    ended_at: world.clock.now().toISOString(),
    made_by: world.runner,
  };
  // Kept out of the cache, so that the next run makes it anew; its paid calls are kept one by one.
  if (meter.incomplete.length === 0) await run.cache.add(entry, run.signal);
  return { ...entry, checksum: key, lacks: meter.incomplete };
}

type FreshEntry = StageCacheEntry & { lacks: readonly string[] };

async function keepAll(
  run: ItemRun,
  made: Record<string, MadeArtifact>,
): Promise<Record<string, CachedArtifact>> {
  const artifacts: Record<string, CachedArtifact> = {};
  for (const [name, artifact] of Object.entries(made)) {
    const kept = await run.shelf.keep(artifact, run.signal);
    if (artifact.content.kind === "file") run.files.made(kept, artifact.content.path);
    artifacts[name] = kept;
  }
  return artifacts;
}

/** An artifact beyond this size is not looked into for its provider. */
const MAX_LOOK_CHARS = 32 * 1024 * 1024;

/**
 * Who really answered: a stage that works offline says so in its artifact's `provider` and
 * `model`, which every transcript and every set of findings carries. A stage that asks nobody may
 * pass these artifacts on; that makes them nobody's answer.
 */
function namedIn(
  stage: CheckedStage,
  made: Record<string, MadeArtifact>,
  field: "provider" | "model",
): string | null {
  if (stage.contract.needs?.provider === undefined) return null;
  for (const { content } of Object.values(made)) {
    if (content.kind !== "text" || content.text.length > MAX_LOOK_CHARS) continue;
    const name = new RegExp(`^\\{[^{[]*"${field}":\\s*"([^"\\\\]{1,100})"`).exec(content.text)?.[1];
    if (name !== undefined) return name;
  }
  return null;
}

async function ingredientsBefore(
  run: ItemRun,
  stage: CheckedStage,
  { key, ingredients }: StageIdentity,
): Promise<Ingredients | undefined> {
  const { cache: before = null, ended_at = null } = run.before[stage.id] ?? {};
  if (before === null) return undefined;
  // Nothing has changed, and yet it runs: what it made is gone.
  if (before === key) return ended_at === null ? undefined : ingredients;
  return (await run.cache.peek(before, run.signal))?.ingredients;
}

function reuse(
  run: ItemRun,
  stage: CheckedStage,
  entry: StageCacheEntry,
  ingredients: Ingredients,
): FinishedStage {
  const reused: StageRecord = {
    ...record(
      "reused",
      "reused",
      new Date(entry.started_at),
      new Date(entry.ended_at),
      entry.key,
      0,
    ),
    usage: entry.usage,
  };
  return take(run, stage, { id: stage.id, record: reused, entry, ingredients });
}

/** A stage that was over before this run began. */
function take(run: ItemRun, stage: CheckedStage, done: FinishedStage): FinishedStage {
  announce(run, stage, done.record, 0);
  run.onStage(stage.id, done.record, false);
  return done;
}

function finish(
  run: ItemRun,
  stage: CheckedStage,
  { lacks, ...entry }: FreshEntry,
  ingredients: Ingredients,
  why: string,
): FinishedStage {
  const started = new Date(entry.started_at);
  const ended = new Date(entry.ended_at);
  const ran: StageRecord = {
    ...record("ran", why, started, ended, entry.key, 0),
    cost: entry.cost,
    usage: entry.usage,
  };
  const by = entry.model === null ? null : `${entry.provider ?? "unknown"}/${entry.model}`;
  announce(run, stage, ran, (ended.getTime() - started.getTime()) / 1000, by);
  run.onStage(stage.id, ran, true);
  return { id: stage.id, record: ran, entry, ingredients, lacks };
}

function skip(run: ItemRun, stage: CheckedStage, missing: string): FinishedStage {
  const why = `needs ${missing}, which is missing`;
  const skipped = record("skipped", why, null, null, null, 0);
  announce(run, stage, skipped, 0);
  run.onStage(stage.id, skipped, false);
  return { id: stage.id, record: skipped, entry: null, ingredients: {} };
}

/** An optional stage's failure is recorded and the item goes on; any other ends the run. */
function fail(
  run: ItemRun,
  stage: CheckedStage,
  { error, tries }: { error: ClipscribeError; tries: number },
  { why, ingredients }: { why: string; ingredients: Ingredients },
): FinishedStage {
  const isInterrupted = error.kind === "cancelled" || error.kind === "conflict";
  if (isInterrupted || run.signal.aborted) throw error;
  const held = isHeld(error) && !stage.optional;
  const failed: StageRecord = {
    ...record(held ? "held" : "failed", why, null, run.world.clock.now(), null, tries),
    error: toErrorRecord(error),
  };
  run.log.add(stage.id, "error", error.message, toErrorRecord(error));
  announce(run, stage, failed, 0);
  run.onStage(stage.id, failed, false);
  if (!stage.optional) throw error;
  return { id: stage.id, record: failed, entry: null, ingredients };
}

async function waitBeforeRetry(
  run: ItemRun,
  stage: CheckedStage,
  error: ClipscribeError,
  tries: number,
  why: string,
): Promise<void> {
  const { world } = run;
  const factor = stage.retry.backoff === "exponential" ? 2 ** (tries - 1) : 1;
  const waitMs = Math.min(MAX_BACKOFF_MS, BACKOFF_MS * factor) * (0.5 + world.random() / 2);
  announceRetry(run, stage, error, tries + 1, Math.round(waitMs));
  run.onStage(stage.id, record("running", why, null, null, null, tries), false);
  if (waitMs > MAX_WAIT_IN_CLAIM_MS) throw new RetryLater(waitMs, error);
  await world.clock.sleep(waitMs, run.signal);
}

function announceRetry(
  run: ItemRun,
  stage: CheckedStage,
  error: ClipscribeError,
  attempt: number,
  in_ms: number,
): void {
  const { job_id, item_id, run: number } = run.ticket;
  const record = toErrorRecord(error);
  const retry = { attempt, in_ms, error: record };
  run.log.add(stage.id, "warn", "the stage will be tried again", retry);
  const about = { job_id, item_id, run: number, stage: stage.id };
  run.world.listener({ type: "stage-retry", ...about, ...retry, why: error.message });
}

function record(
  state: StageRecord["state"],
  why: string,
  startedAt: Date | null,
  endedAt: Date | null,
  cache: Sha256 | null,
  tries: number,
): StageRecord {
  return {
    state,
    why,
    started_at: startedAt?.toISOString() ?? null,
    ended_at: endedAt?.toISOString() ?? null,
    cost: 0,
    cache,
    usage: {},
    tries,
    error: null,
  };
}

function announce(
  run: ItemRun,
  stage: CheckedStage,
  ended: StageRecord,
  seconds: number,
  by: string | null = null,
): void {
  const { job_id, item_id, run: number } = run.ticket;
  run.world.listener({
    type: "stage-ended",
    job_id,
    item_id,
    run: number,
    stage: stage.id,
    state: ended.state,
    why: ended.why,
    by,
    seconds,
    cost_usd: ended.cost,
    error: ended.error,
  });
}
