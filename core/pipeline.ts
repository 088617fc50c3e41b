/**
 * `pipeline.yaml` after parsing, and after checking against the stages' contracts.
 *
 * Two steps, so that editors and `validate` can report the first without loading any code:
 * `parsePipeline` (pipeline-parse.ts) knows the file's shape and its positions; `checkPipeline`
 * (pipeline-check.ts) knows the contracts and returns what the planner needs. Both collect all
 * problems; a broken file never replaces a good one.
 */
import type { Sha256 } from "./ids.ts";
import type { Retention } from "./retention.ts";
import type { BuiltInInput, StageDefinition } from "./stage.ts";

export interface RetryPolicy {
  /** Tries of the stage, the first included. */
  attempts: number;
  backoff: "exponential" | "fixed";
}

export interface PipelineStage {
  id: string;
  /** Path of the stage's file, relative to pipeline.yaml: `stages/audio.ts`. */
  uses: string;
  runsOn: "edge" | "worker";
  /** The raw `with:`; validated against the contract by `checkPipeline`. */
  with: Record<string, unknown>;
  /** Input name → artifact name, or `stage-id.artifact`. */
  in: Record<string, string>;
  retry: RetryPolicy;
  timeoutMs: number;
  pool: string | null;
  /** Without it the item is `partial`, not failed. */
  optional: boolean;
}

export interface Pipeline {
  name: string;
  /** File extensions, lower case, without the dot. */
  accept: string[];
  stages: PipelineStage[];
  /** Names of the published files. */
  publish: string[];
  /** Slots a pool; `cores` is as many as the machine has. */
  pools: Record<string, number | "cores">;
  budget: { itemUsd: number | null; jobUsd: number | null; dayUsd: number | null };
  /** Whom to tell of jobs that name nobody; not there where the file says nothing. */
  notify?: { email: string | null; webhook: string | null };
  /** Of a bucket; absent: DEFAULT_RETENTION. */
  retention?: Retention;
  /** Absent: only what worker stages read leaves the laptop. */
  upload?: "source";
}

/** A path into the YAML document: `["stages", 2, "with", "bitrate_kbps"]`. */
export type YamlPath = readonly (string | number)[];

export interface PipelineProblem {
  /** One-based; null where the file as a whole is meant. */
  line: number | null;
  column: number | null;
  message: string;
  hint: string | null;
}

/** Finds the place of a path (its key or its value) in the text that was parsed. */
export interface SourceMap {
  file: string;
  text: string;
  positionOf(path: YamlPath, at?: "key" | "value"): { line: number; column: number } | undefined;
}

export type PipelineResult<Value> =
  | { ok: true; value: Value }
  | { ok: false; problems: PipelineProblem[] };

export interface ParsedPipeline {
  pipeline: Pipeline;
  sourceMap: SourceMap;
}

/** A stage's contract with the digest of its bundled code, as the stage loader returns it. */
export interface LoadedStage {
  uses: string;
  definition: StageDefinition;
  codeDigest: Sha256;
  /** Absolute path of the bundle that workers import. */
  bundlePath: string;
}

export type InputBinding =
  | { from: "built-in"; name: BuiltInInput }
  | { from: "stage"; stage: string; artifact: string }
  /** An optional input that nothing makes. */
  | { from: "nothing" };

export interface CheckedStage extends PipelineStage {
  contract: StageDefinition;
  codeDigest: Sha256;
  bundlePath: string;
  /** Parsed by the contract, defaults filled in; text params still hold the path. */
  params: Record<string, unknown>;
  /** Text param → the file's content, as it goes to the stage and into its key. */
  texts: Record<string, string>;
  inputs: Record<string, InputBinding>;
  /** The resolved pool: the pipeline's, else the contract's, else `cpu`. */
  pool: string;
  /** Stages (ids) that must end before this one, nearest first. */
  after: string[];
}

export interface CheckedPipeline extends Omit<Pipeline, "stages" | "publish"> {
  /** In an order in which each stage follows all that it needs. */
  stages: CheckedStage[];
  /** Published file name → the stage and output that make it. */
  publish: { file: string; stage: string; artifact: string }[];
  /** SHA-256 over the parsed YAML, every stage's bundle, and every text that a param names. */
  digest: Sha256;
}
