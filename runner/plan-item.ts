/**
 * What a run of an item would do: reuse or run each stage, and why. What follows a stage that would
 * run is not known before it ran, and is said so.
 */
import { explainRun } from "../core/plan.ts";
import type { Ingredients } from "../core/plan.ts";
import type { CheckedStage } from "../core/pipeline.ts";
import type { StageRecord } from "../core/records.ts";
import type { ArtifactShelf } from "./artifact-shelf.ts";
import { estimateStage } from "./estimate-stage.ts";
import type { IdentifyContext } from "./identify-stage.ts";
import { identifyStage, providersOf } from "./identify-stage.ts";
import type { FinishedStage } from "./item-run.ts";
import { measureLength } from "./measure-length.ts";
import type { SourceLength } from "./measure-length.ts";
import type { StageCache } from "./stage-cache.ts";

export interface PlannedStage {
  stage: string;
  /** `depends`: on what an earlier stage makes. */
  action: "reuse" | "run" | "depends" | "skip";
  why: string;
  /** Null where nobody can say: no estimate in the contract, or the duration is not known. */
  seconds: number | null;
  costUsd: number | null;
}

export interface PlanContext extends IdentifyContext {
  cache: StageCache;
  before: Readonly<Record<string, StageRecord>>;
  shelf: ArtifactShelf;
  /** Asks the medium itself for its length, where no stage has. */
  measureMedia: () => Promise<number | null>;
}

export async function planItem(context: PlanContext, signal: AbortSignal): Promise<PlannedStage[]> {
  const finished = new Map<string, FinishedStage>();
  const unknown = new Set<string>();
  const plan: PlannedStage[] = [];
  for (const stage of context.pipeline.stages) {
    const waitsFor = stage.after.find((id) => unknown.has(id));
    const planned: PlannedStage =
      waitsFor === undefined
        ? await planStage(context, stage, finished, signal)
        : { ...NOTHING, stage: stage.id, action: "depends", why: `needs what ${waitsFor} makes` };
    if (planned.action !== "reuse") unknown.add(stage.id);
    plan.push(planned);
  }
  if (unknown.size === 0) return plan;
  const length = await measureAll(context, finished, signal);
  return plan.map((planned, index) => {
    const stage = context.pipeline.stages[index];
    const isDone = planned.action === "reuse" || planned.action === "skip";
    return stage === undefined || isDone
      ? planned
      : { ...planned, ...estimateIn(context, stage, length) };
  });
}

/** What a stage takes that does nothing. */
const NOTHING = { seconds: 0, costUsd: 0 };

async function planStage(
  context: PlanContext,
  stage: CheckedStage,
  finished: Map<string, FinishedStage>,
  signal: AbortSignal,
): Promise<PlannedStage> {
  const record = context.before[stage.id];
  let ingredients: Ingredients | undefined;
  for (const provider of providersOf(context.world.providers, stage)) {
    const identified = await identifyStage(context, stage, finished, provider);
    if ("missing" in identified) {
      const why = `needs ${identified.missing}, which is missing`;
      return { stage: stage.id, action: "skip", why, ...NOTHING };
    }
    const { identity } = identified;
    ingredients ??= identity.ingredients;
    const entry = await context.cache.find(identity.key, signal);
    if (entry === undefined) continue;
    const reused = record ?? reusedRecord(entry.key);
    const done = { id: stage.id, record: reused, entry, ingredients: identity.ingredients };
    finished.set(stage.id, done);
    const why = record === undefined ? "done for another item" : "reused";
    return { stage: stage.id, action: "reuse", why, ...NOTHING };
  }
  const earlier =
    record?.cache === undefined || record.cache === null
      ? undefined
      : await context.cache.peek(record.cache, signal);
  const why = explainRun(earlier?.ingredients, ingredients ?? {});
  return { stage: stage.id, action: "run", why, ...NOTHING };
}

function reusedRecord(cache: StageRecord["cache"]): StageRecord {
  return {
    state: "reused",
    why: "reused",
    started_at: null,
    ended_at: null,
    cost: 0,
    cache,
    usage: {},
    tries: 0,
    error: null,
  };
}

async function measureAll(
  { shelf, measureMedia }: PlanContext,
  finished: ReadonlyMap<string, FinishedStage>,
  signal: AbortSignal,
): Promise<SourceLength> {
  const length = await measureLength(shelf, finished, signal);
  return { ...length, mediaSeconds: length.mediaSeconds ?? (await measureMedia()) };
}

function estimateIn(
  { world }: PlanContext,
  stage: CheckedStage,
  length: SourceLength,
): { seconds: number | null; costUsd: number | null } {
  const known = estimateStage(world.providers, stage, length);
  return (
    known ?? { seconds: null, costUsd: stage.contract.needs?.provider === undefined ? 0 : null }
  );
}
