/**
 * The pure planner: what a stage's key is made of, and why a stage runs or is reused.
 *
 * A stage key is known only when its inputs are, so a plan grows as artifacts appear: the runner
 * asks again after each stage, and `clipscribe plan` stops at the first stage that would run,
 * since what follows depends on what it makes.
 */
import { canonicalJson, digestOf } from "./digest.ts";
import type { Sha256 } from "./ids.ts";
import type { CheckedPipeline, CheckedStage } from "./pipeline.ts";
import type { Provenance } from "./stage.ts";

/** What a stage key is computed over: name → value or digest, all text. */
export type Ingredients = Record<string, string>;

/** The ingredient of an optional input that was not made. */
export const ABSENT = "absent";
/** Values longer than this are said to have changed without showing them. */
const MAX_SHOWN_CHARS = 40;

export interface StageIngredients {
  stage: CheckedStage;
  /** Digest of each input by name; `undefined` for an optional one that is absent. */
  inputs: Record<string, string | undefined>;
  provider: { provider: string; model: string } | null;
  /** Only for stages whose contract says `keyed`. */
  tools: Record<string, string>;
}

export function stageIngredients(about: StageIngredients): Ingredients {
  const { stage } = about;
  const ingredients: Ingredients = { code: stage.codeDigest };
  for (const [name, value] of Object.entries(stage.params)) {
    // Whom else one may ask changes nothing about what the one who answers says.
    if (name === stage.contract.needs?.fallbackParam) continue;
    const text = stage.texts[name];
    ingredients[`params.${name}`] =
      text === undefined ? canonicalJson(value) : `text:${digestOf(text)}`;
  }
  for (const name of Object.keys(stage.contract.input)) {
    ingredients[`input.${name}`] = about.inputs[name] ?? ABSENT;
  }
  if (about.provider !== null) {
    ingredients["provider"] = `${about.provider.provider}/${about.provider.model}`;
  }
  if (stage.contract.needs?.keyed === true) {
    for (const [tool, version] of Object.entries(about.tools)) {
      ingredients[`tool.${tool}`] = version;
    }
  }
  return ingredients;
}

/** The `v` changes when the meaning of ingredients does. */
export function stageKey(ingredients: Ingredients): Sha256 {
  return digestOf({ v: 1, ingredients });
}

/** True where a person asked for this stage anew, or for one that it needs. */
export function isForced(
  from: string | null,
  stages: readonly Pick<CheckedStage, "id" | "after">[],
  id: string,
): boolean {
  if (from === null || id === from) return from !== null;
  const { after = [] } = stages.find((stage) => stage.id === id) ?? {};
  return after.some((earlier) => isForced(from, stages, earlier));
}

/** Leaves out what differs between equal runs: money and time. */
export function provenanceDigest(provenance: Provenance): Sha256 {
  return digestOf({
    pipeline: provenance.pipeline,
    version: provenance.clipscribe_version,
    source: provenance.source_sha256,
    stages: provenance.stages.map(({ id, uses, provider, model }) => [id, uses, provider, model]),
  });
}

/** Says why a stage with these ingredients runs, given those of the item's last run of it. */
export function explainRun(before: Ingredients | undefined, now: Ingredients): string {
  if (before === undefined) return "first run";
  const changes: string[] = [];
  for (const name of Object.keys({ ...before, ...now }).toSorted()) {
    const old = before[name];
    const value = now[name];
    if (old === value) continue;
    changes.push(describeChange(name, old, value));
  }
  return changes.length === 0 ? "its earlier result is gone" : changes.join("; ");
}

function describeChange(name: string, old: string | undefined, value: string | undefined): string {
  if (name === "code") return "code changed";
  if (name.startsWith("input.")) {
    const input = name.slice("input.".length);
    if (old === ABSENT) return `input ${input} appeared`;
    return value === ABSENT ? `input ${input} is gone` : `input ${input} changed`;
  }
  if (value?.startsWith("text:") === true) return `${name}: the file's text changed`;
  if (old === undefined) return `${name} is new: ${shorten(value)}`;
  if (value === undefined) return `${name} was removed`;
  return `${name} changed ${shorten(old)} → ${shorten(value)}`;
}

function shorten(value: string | undefined): string {
  if (value === undefined) return "";
  return value.length <= MAX_SHOWN_CHARS ? value : `${value.slice(0, MAX_SHOWN_CHARS - 1)}…`;
}

/** Every stage upstream of `stage`, in pipeline order: whose provenance it carries. */
export function upstreamOf(pipeline: CheckedPipeline, stage: CheckedStage): CheckedStage[] {
  const wanted = new Set<string>(stage.after);
  for (const candidate of pipeline.stages.toReversed()) {
    if (wanted.has(candidate.id)) for (const id of candidate.after) wanted.add(id);
  }
  return pipeline.stages.filter(({ id }) => wanted.has(id));
}
