/**
 * The part of a pipeline that runs on the laptop, before anything leaves it. Pure: which stages
 * those are, what has to leave besides, and what can't be asked of them.
 */
import { problemAt } from "./pipeline-parse.ts";
import type { Ingredients } from "./plan.ts";
import type {
  CheckedPipeline,
  CheckedStage,
  ParsedPipeline,
  PipelineProblem,
  YamlPath,
} from "./pipeline.ts";

/** The same pipeline with its edge stages alone: they need nothing that others make. */
export function edgePart(pipeline: CheckedPipeline): CheckedPipeline {
  const stages = pipeline.stages.filter(({ runsOn }) => runsOn === "edge");
  return { ...pipeline, stages, publish: [] };
}

/** Worker stages that read the original itself: with one, it has to be uploaded. */
export function workersThatRead(pipeline: CheckedPipeline): CheckedStage[] {
  return pipeline.stages.filter(
    ({ runsOn, inputs }) =>
      runsOn === "worker" &&
      Object.values(inputs).some((bound) => bound.from === "built-in" && bound.name === "source"),
  );
}

/** True where the original leaves the laptop as well. */
export function isSourceUploaded(
  pipeline: CheckedPipeline,
  options: { keepVideo: boolean },
): boolean {
  return options.keepVideo || pipeline.upload === "source" || workersThatRead(pipeline).length > 0;
}

/** Ingredients that name the machine: the laptop's may differ from the runner's. */
const OF_THE_MACHINE = /^(?:tool\.|input\.provenance$)/;

/** True where both are over the same code, params, texts and inputs. */
export function isSamePreparation(a: Ingredients, b: Ingredients): boolean {
  return Object.keys({ ...a, ...b }).every(
    (name) => OF_THE_MACHINE.test(name) || a[name] === b[name],
  );
}

/** What an edge stage can't have: what a worker makes, and what costs money. */
export function findEdgeProblems(
  { pipeline, sourceMap }: ParsedPipeline,
  stages: readonly CheckedStage[],
  stage: CheckedStage,
): PipelineProblem[] {
  if (stage.runsOn !== "edge") return [];
  const index = pipeline.stages.findIndex(({ id }) => id === stage.id);
  const at: YamlPath = ["stages", index, "runs_on"];
  const problems: PipelineProblem[] = [];
  for (const bound of Object.values(stage.inputs)) {
    const maker = bound.from === "stage" ? stages.find(({ id }) => id === bound.stage) : undefined;
    if (bound.from !== "stage" || maker?.runsOn !== "worker") continue;
    const message = `stage \`${stage.id}\` runs on the edge, but \`${bound.stage}\`, which makes its \`${bound.artifact}\`, runs on a worker`;
    const hint = `remove \`runs_on: edge\` here, or add it to \`${bound.stage}\``;
    problems.push(problemAt(sourceMap, at, "value", message, hint));
  }
  if (stage.contract.needs?.provider !== undefined) {
    const message = `stage \`${stage.id}\` asks a provider, so it can't run on the edge`;
    const hint = "remove `runs_on: edge`: money is counted where the runners are";
    problems.push(problemAt(sourceMap, at, "value", message, hint));
  }
  return problems;
}
