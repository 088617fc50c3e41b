/**
 * Checks a parsed pipeline against its stages' contracts and resolves everything: params, texts,
 * inputs, order, what is published. Pure; all problems at once.
 */
import { closestWord, didYouMean } from "./did-you-mean.ts";
import { digestOf } from "./digest.ts";
import { findEdgeProblems } from "./edge.ts";
import { ClipscribeError } from "./errors.ts";
import { findNamedModel, problemOfModel } from "./models.ts";
import { describeIssues, problemAt, sortProblems } from "./pipeline-parse.ts";
import type {
  CheckedPipeline,
  CheckedStage,
  InputBinding,
  LoadedStage,
  ParsedPipeline,
  PipelineProblem,
  PipelineResult,
  PipelineStage,
} from "./pipeline.ts";
import { BUILT_IN_INPUTS } from "./stage.ts";
import type { BuiltInInput, StageDefinition } from "./stage.ts";

/** Made by the runner itself beside what the stages make. */
const RESERVED_FILES = ["manifest.json", "manifest-sha256.txt"];
/** The pool of stages that name none. */
const DEFAULT_POOL = "cpu";

export interface CheckFacts {
  loaded: ReadonlyMap<string, LoadedStage | ClipscribeError>;
  /** Reads a text file that a param names, relative to pipeline.yaml; an error in its place. */
  readText: (path: string) => string | ClipscribeError;
  /** Stage files that exist beside the pipeline, for "did you mean". */
  knownStages: readonly string[];
}

interface Draft {
  index: number;
  stage: PipelineStage;
  loaded: LoadedStage;
}

export function checkPipeline(
  parsed: ParsedPipeline,
  facts: CheckFacts,
): PipelineResult<CheckedPipeline> {
  const { pipeline, sourceMap } = parsed;
  const problems: PipelineProblem[] = [];
  const drafts: Draft[] = [];
  for (const [index, stage] of pipeline.stages.entries()) {
    const loaded = facts.loaded.get(stage.uses);
    if (loaded === undefined || loaded instanceof ClipscribeError) {
      const hint = hintForStage(stage.uses, loaded, facts.knownStages);
      const message = loaded?.message ?? `there is no stage file \`${stage.uses}\``;
      problems.push(problemAt(sourceMap, ["stages", index, "uses"], "value", message, hint));
    } else {
      drafts.push({ index, stage, loaded });
    }
  }
  const checked = drafts.map((draft) => checkStage(parsed, drafts, draft, facts, problems));
  const allLoaded = drafts.length === pipeline.stages.length;
  const ordered = allLoaded ? orderStages(parsed, checked, problems) : checked;
  for (const stage of checked) problems.push(...findEdgeProblems(parsed, checked, stage));
  const publish = bindPublished(parsed, drafts, allLoaded, problems);
  if (problems.length > 0) return { ok: false, problems: sortProblems(problems) };
  const digest = digestOf({
    v: 1,
    pipeline,
    code: Object.fromEntries(checked.map(({ id, codeDigest }) => [id, codeDigest])),
    texts: Object.fromEntries(checked.map(({ id, texts }) => [id, texts])),
  });
  return { ok: true, value: { ...pipeline, stages: ordered, publish, digest } };
}

function hintForStage(
  uses: string,
  error: ClipscribeError | undefined,
  known: readonly string[],
): string | null {
  const isThere = known.includes(uses);
  return (isThere ? null : didYouMean(uses, known)) ?? error?.hint ?? null;
}

/** What `with:` names as models has to exist, to work still, and to be able to do what it should. */
function checkModels(
  { sourceMap }: ParsedPipeline,
  drafts: readonly Draft[],
  draft: Draft,
  params: Record<string, unknown>,
  problems: PipelineProblem[],
): void {
  const { index, loaded } = draft;
  const { needs = {}, misfit } = loaded.definition;
  const { provider: kind, providerParam, fallbackParam } = needs;
  if (kind === undefined) return;
  const add = (path: (string | number)[], message: string, hint: string): void => {
    const at = ["stages", index, "with", ...path];
    problems.push(problemAt(sourceMap, at, "value", message, hint));
  };
  const makers = paramsOfMakers(drafts, draft);
  const named: [path: (string | number)[], name: unknown][] = [];
  if (providerParam !== undefined) named.push([[providerParam], params[providerParam]]);
  const fallbacks = fallbackParam === undefined ? [] : params[fallbackParam];
  if (fallbackParam !== undefined && Array.isArray(fallbacks)) {
    for (const [at, name] of fallbacks.entries()) named.push([[fallbackParam, at], name]);
  }
  for (const [path, name] of named) {
    if (typeof name !== "string") continue;
    const problem = problemOfModel(kind, name);
    if (problem !== undefined) add(path, problem.message, problem.hint);
    const model = findNamedModel(kind, name);
    if (problem !== undefined || model === undefined) continue;
    const unfit = misfit?.({ params, model, makers });
    if (unfit !== undefined) add([unfit.param], unfit.message, unfit.hint);
  }
}

/** By input of a stage: the params of the one that makes it, where there is one and they are good. */
function paramsOfMakers(
  drafts: readonly Draft[],
  draft: Draft,
): Record<string, Record<string, unknown>> {
  const { stage, loaded } = draft;
  const inputs = Object.keys(loaded.definition.input);
  return Object.fromEntries(
    inputs.flatMap((name) => {
      const maker = findProducer(drafts, draft, stage.in[name] ?? name);
      const parsed = maker?.loaded.definition.params.safeParse(maker.stage.with);
      return parsed?.success === true ? [[name, parsed.data as Record<string, unknown>]] : [];
    }),
  );
}

function checkStage(
  parsed: ParsedPipeline,
  drafts: readonly Draft[],
  draft: Draft,
  facts: CheckFacts,
  problems: PipelineProblem[],
): CheckedStage {
  const { stage, loaded, index } = draft;
  const { sourceMap, pipeline } = parsed;
  const contract = loaded.definition;
  const params = checkParams(parsed, draft, problems);
  const texts: Record<string, string> = {};
  for (const name of contract.textParams ?? []) {
    const path = params[name];
    if (typeof path !== "string") continue;
    const text = facts.readText(path);
    if (typeof text === "string") {
      texts[name] = text;
    } else {
      const at = ["stages", index, "with", name];
      problems.push(problemAt(sourceMap, at, "value", text.message, text.hint ?? null));
    }
  }
  const inputs: Record<string, InputBinding> = {};
  for (const name of Object.keys(contract.input)) {
    inputs[name] = bindInput(parsed, drafts, draft, name, problems);
  }
  for (const name of Object.keys(stage.in)) {
    if (Object.hasOwn(contract.input, name)) continue;
    const hint = didYouMean(name, Object.keys(contract.input));
    const message = `stage \`${stage.id}\` has no input \`${name}\``;
    problems.push(problemAt(sourceMap, ["stages", index, "in", name], "key", message, hint));
  }
  checkModels(parsed, drafts, draft, params, problems);
  const pool = stage.pool ?? contract.needs?.pool ?? DEFAULT_POOL;
  if (stage.pool !== null && stage.pool !== DEFAULT_POOL && !Object.hasOwn(pipeline.pools, pool)) {
    const hint = didYouMean(pool, Object.keys(pipeline.pools)) ?? "add it under `pools:`";
    const path = ["stages", index, "pool"];
    problems.push(problemAt(sourceMap, path, "value", `there is no pool \`${pool}\``, hint));
  }
  const after = Object.values(inputs).flatMap((bound) =>
    bound.from === "stage" ? [bound.stage] : [],
  );
  return {
    ...stage,
    contract,
    codeDigest: loaded.codeDigest,
    bundlePath: loaded.bundlePath,
    params,
    texts,
    inputs,
    pool,
    after: [...new Set(after)],
  };
}

function checkParams(
  { sourceMap }: ParsedPipeline,
  { stage, loaded, index }: Draft,
  problems: PipelineProblem[],
): Record<string, unknown> {
  const parsed = loaded.definition.params.safeParse(stage.with);
  if (parsed.success) return parsed.data as Record<string, unknown>;
  const known = paramNames(loaded.definition);
  const base = ["stages", index, "with"];
  problems.push(
    ...describeIssues(parsed.error, sourceMap, base, (path) =>
      path.length === base.length ? known : [],
    ),
  );
  return {};
}

/** The names of a strict zod object's members. */
function paramNames(definition: StageDefinition): string[] {
  const { shape } = definition.params as { shape?: Record<string, unknown> };
  return shape === undefined ? [] : Object.keys(shape);
}

function bindInput(
  { pipeline, sourceMap }: ParsedPipeline,
  drafts: readonly Draft[],
  draft: Draft,
  name: string,
  problems: PipelineProblem[],
): InputBinding {
  const { stage, loaded, index } = draft;
  const wanted = stage.in[name] ?? name;
  const at = stage.in[name] === undefined ? ["stages", index, "id"] : ["stages", index, "in", name];
  const descriptor = loaded.definition.input[name];
  if ((BUILT_IN_INPUTS as readonly string[]).includes(wanted)) {
    return { from: "built-in", name: wanted as BuiltInInput };
  }
  const found = findProducer(drafts, draft, wanted);
  if (found === undefined) {
    if (descriptor?.optional === true && stage.in[name] === undefined) return { from: "nothing" };
    // A stage that could not be loaded may be the one that makes it: that is told, and enough.
    if (drafts.length < pipeline.stages.length) return { from: "nothing" };
    const made = drafts.flatMap((each) => Object.keys(each.loaded.definition.output));
    const meant = closestWord(
      wanted,
      [...made, ...BUILT_IN_INPUTS].filter((each) => each !== wanted),
    );
    const hint =
      meant === undefined
        ? `add the stage that makes it, or rename: \`in: { ${name}: … }\`; made here: ${[...new Set(made)].join(", ")}`
        : `did you mean \`${meant}\`? write \`in: { ${name}: ${meant} }\``;
    const message = `stage \`${stage.id}\` needs \`${wanted}\`, which no stage makes`;
    problems.push(problemAt(sourceMap, at, "value", message, hint));
    return { from: "nothing" };
  }
  const artifact = wanted.includes(".") ? (wanted.split(".")[1] ?? "") : wanted;
  const output = found.loaded.definition.output[artifact];
  const clash =
    descriptor?.kind === "files" || (descriptor?.kind === "json" && output?.kind === "file");
  if (clash) {
    const message = `stage \`${stage.id}\` wants \`${name}\` as ${descriptor.kind === "json" ? "JSON" : "a list of files"}, but \`${found.stage.id}\` makes a file`;
    problems.push(problemAt(sourceMap, at, "value", message));
  }
  return { from: "stage", stage: found.stage.id, artifact };
}

/** The only maker; of several the nearest earlier one in the file; else the first. */
function findProducer(drafts: readonly Draft[], draft: Draft, wanted: string): Draft | undefined {
  const [stageId, named] = wanted.includes(".") ? wanted.split(".") : [undefined, wanted];
  const makers = drafts.filter(
    ({ stage, loaded }) =>
      (stageId === undefined ? stage.id !== draft.stage.id : stage.id === stageId) &&
      Object.hasOwn(loaded.definition.output, named ?? ""),
  );
  return makers.findLast(({ index }) => index < draft.index) ?? makers[0];
}

function orderStages(
  { sourceMap, pipeline }: ParsedPipeline,
  stages: readonly CheckedStage[],
  problems: PipelineProblem[],
): CheckedStage[] {
  const byId = new Map(stages.map((stage) => [stage.id, stage]));
  const ordered: CheckedStage[] = [];
  const state = new Map<string, "open" | "done">();
  const visit = (stage: CheckedStage, path: readonly string[]): void => {
    if (state.get(stage.id) === "done") return;
    if (state.get(stage.id) === "open") {
      const cycle = [...path.slice(path.indexOf(stage.id)), stage.id].join(" → ");
      const index = pipeline.stages.findIndex(({ id }) => id === stage.id);
      const message = `the stages need each other in a circle: ${cycle}`;
      const hint = "give one of them another input with `in:`";
      problems.push(problemAt(sourceMap, ["stages", index, "id"], "value", message, hint));
      return;
    }
    state.set(stage.id, "open");
    for (const id of stage.after) {
      const needed = byId.get(id);
      if (needed !== undefined) visit(needed, [...path, stage.id]);
    }
    state.set(stage.id, "done");
    ordered.push(stage);
  };
  for (const stage of stages) visit(stage, []);
  return ordered;
}

function bindPublished(
  { sourceMap, pipeline }: ParsedPipeline,
  drafts: readonly Draft[],
  allLoaded: boolean,
  problems: PipelineProblem[],
): CheckedPipeline["publish"] {
  const makers = drafts.flatMap(({ stage, loaded }) =>
    Object.entries(loaded.definition.output).flatMap(([artifact, { fileName }]) =>
      fileName === null ? [] : [{ file: fileName, stage: stage.id, artifact }],
    ),
  );
  return pipeline.publish.flatMap((file, index) => {
    const found = makers.filter((maker) => maker.file === file);
    const [first] = found;
    if (first !== undefined && found.length === 1) return [first];
    if (found.length === 0 && !allLoaded) return [];
    const path = ["publish", index];
    if (RESERVED_FILES.includes(file)) {
      const message = `\`${file}\` is always published; leave it out`;
      problems.push(problemAt(sourceMap, path, "value", message));
    } else if (found.length === 0) {
      const names = makers.map((maker) => maker.file);
      const hint = didYouMean(file, names) ?? `the stages make: ${names.join(", ")}`;
      problems.push(problemAt(sourceMap, path, "value", `no stage makes \`${file}\``, hint));
    } else {
      const message = `two stages make \`${file}\`: ${found.map(({ stage }) => stage).join(", ")}`;
      problems.push(problemAt(sourceMap, path, "value", message, "remove one of them"));
    }
    return [];
  });
}
