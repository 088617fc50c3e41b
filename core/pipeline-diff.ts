/** What a saved pipeline.yaml changed, for whoever saved it. */
import { canonicalJson } from "./digest.ts";
import { explainRun, stageIngredients } from "./plan.ts";
import type { CheckedPipeline, CheckedStage } from "./pipeline.ts";

/** One line a change, in the order of the file; empty where nothing of it acts. */
export function describePipelineChange(before: CheckedPipeline, after: CheckedPipeline): string[] {
  const old = new Map(before.stages.map((stage) => [stage.id, stage]));
  const now = new Set(after.stages.map(({ id }) => id));
  const changes = after.stages.flatMap((stage) => {
    const earlier = old.get(stage.id);
    return earlier === undefined ? [`${stage.id} is new`] : describeStage(earlier, stage);
  });
  for (const { id } of before.stages) if (!now.has(id)) changes.push(`${id} is gone`);
  for (const part of ["accept", "publish", "pools", "budget"] as const) {
    changes.push(...describePart(part, before[part], after[part]));
  }
  return changes;
}

function describeStage(before: CheckedStage, after: CheckedStage): string[] {
  const changes: string[] = [];
  const ingredients = (stage: CheckedStage) =>
    stageIngredients({ stage, inputs: {}, provider: null, tools: {} });
  const [old, now] = [ingredients(before), ingredients(after)];
  if (canonicalJson(old) !== canonicalJson(now)) {
    changes.push(`${after.id}: ${explainRun(old, now).replaceAll("params.", "")}`);
  }
  if (before.uses !== after.uses) changes.push(`${after.id}: uses ${after.uses}`);
  for (const part of ["timeoutMs", "retry", "pool", "optional", "runsOn", "in"] as const) {
    changes.push(...describePart(`${after.id}: ${part}`, before[part], after[part]));
  }
  return changes;
}

function describePart(name: string, before: unknown, after: unknown): string[] {
  const [old, now] = [canonicalJson(before), canonicalJson(after)];
  if (old === now) return [];
  const isShort = old.length + now.length <= 80;
  return [isShort ? `${name} changed ${old} → ${now}` : `${name} changed`];
}
