/**
 * The contract of a stage: typed artifacts in, typed artifacts out, and nothing else.
 *
 * A stage is a pure function in a file of its own under stages/. All it may touch comes through
 * `ctx`; the runner decides when it runs, where its files live, and whether an earlier answer is
 * reused. What is declared here is what the planner checks before anything runs.
 */
import { z } from "zod";

import { ClipscribeError } from "./errors.ts";
import type { Sha256 } from "./ids.ts";
import type { ModelSpec } from "./models.ts";
import type { Usage } from "./records.ts";

/** A file made by a stage or given to it. `fileName` is its name when it is published. */
export interface FileDescriptor<Optional extends boolean = boolean> {
  readonly kind: "file";
  readonly mediaType: string;
  readonly fileName: string | null;
  readonly optional: Optional;
}

/** A JSON value with its schema; checked when it is made and when it is read. */
export interface JsonDescriptor<Value, Optional extends boolean = boolean> {
  readonly kind: "json";
  readonly schema: z.ZodType<Value>;
  readonly mediaType: "application/json";
  readonly fileName: string | null;
  readonly optional: Optional;
}

/** Any number of files under one name: the sidecars that came with the source. Input only. */
export interface FilesDescriptor {
  readonly kind: "files";
  readonly mediaType: string;
  readonly fileName: null;
  readonly optional: false;
}

export type InputDescriptor = FileDescriptor | JsonDescriptor<unknown> | FilesDescriptor;
export type OutputDescriptor = FileDescriptor | JsonDescriptor<unknown>;

/** Inputs that no stage makes: the runner provides them under these names. */
export const BUILT_IN_INPUTS = ["source", "sidecars", "item", "provenance"] as const;
export type BuiltInInput = (typeof BUILT_IN_INPUTS)[number];

/**
 * What made the artifacts so far: the built-in input `provenance`. `cost_usd`, `seconds` and
 * `ended_at` are left out of stage keys, so that a slower machine does not change an answer's key.
 */
export const Provenance = z.object({
  pipeline: z.string(),
  clipscribe_version: z.string(),
  source_sha256: z.string(),
  stages: z.array(
    z.object({
      id: z.string(),
      uses: z.string(),
      provider: z.string().nullable(),
      model: z.string().nullable(),
      cost_usd: z.number(),
      seconds: z.number(),
      ended_at: z.string(),
    }),
  ),
  /** What is missing so far, and why: a stage's id, or a part of what it should have made. */
  lacks: z.array(z.object({ stage: z.string(), why: z.string() })).default([]),
});
export type Provenance = z.infer<typeof Provenance>;

export interface InputFile {
  /** Absolute; read only. Its name says nothing: use the `item` input for names. */
  readonly path: string;
  readonly sha256: Sha256;
  readonly sizeBytes: number;
  readonly mediaType: string;
  /** The name that the file came with; hostile text. */
  readonly name: string;
}

/** A finished file in the stage's scratch folder, from `ctx.write` or `ctx.outputFile`. */
export interface OutputFile {
  readonly path: string;
}

interface FileOptions {
  mediaType: string;
  fileName?: string;
}

// Overloads, not a type parameter: one would be inferred from where the descriptor is put.
export function file(options: FileOptions & { optional: true }): FileDescriptor<true>;
export function file(options: FileOptions & { optional?: false }): FileDescriptor<false>;
export function file(options: FileOptions & { optional?: boolean }): FileDescriptor {
  return {
    kind: "file",
    mediaType: options.mediaType,
    fileName: options.fileName ?? null,
    optional: options.optional ?? false,
  };
}

export function json<Schema extends z.ZodType>(
  schema: Schema,
  options: { fileName?: string; optional: true },
): JsonDescriptor<z.output<Schema>, true>;
export function json<Schema extends z.ZodType>(
  schema: Schema,
  options?: { fileName?: string; optional?: false },
): JsonDescriptor<z.output<Schema>, false>;
export function json(
  schema: z.ZodType,
  options: { fileName?: string; optional?: boolean } = {},
): JsonDescriptor<unknown> {
  return {
    kind: "json",
    schema,
    mediaType: "application/json",
    fileName: options.fileName ?? null,
    optional: options.optional ?? false,
  };
}

export function files(options: { mediaType: string }): FilesDescriptor {
  return { kind: "files", mediaType: options.mediaType, fileName: null, optional: false };
}

type OrUndefined<Value, Optional extends boolean> = Optional extends true
  ? Value | undefined
  : Value;

type InputValue<D> = D extends FilesDescriptor
  ? readonly InputFile[]
  : D extends JsonDescriptor<infer Value, infer Optional>
    ? OrUndefined<Value, Optional>
    : D extends FileDescriptor<infer Optional>
      ? OrUndefined<InputFile, Optional>
      : never;

type OutputValue<D> =
  D extends JsonDescriptor<infer Value, infer Optional>
    ? OrUndefined<Value, Optional>
    : D extends FileDescriptor<infer Optional>
      ? OrUndefined<OutputFile, Optional>
      : never;

export type Inputs = Record<string, InputDescriptor>;
export type Outputs = Record<string, OutputDescriptor>;
export type InputValues<I extends Inputs> = { readonly [Name in keyof I]: InputValue<I[Name]> };
export type OutputValues<O extends Outputs> = { readonly [Name in keyof O]: OutputValue<O[Name]> };

export const MEDIA_TOOLS = ["ffmpeg", "ffprobe"] as const;
export type MediaToolName = (typeof MEDIA_TOOLS)[number];

export interface StageNeeds {
  /** Media tools that the stage calls; missing ones hold the item before it starts. */
  readonly tools?: readonly MediaToolName[];
  /** Put the tools' versions into the stage key. Rarely right: an update reruns everything. */
  readonly keyed?: boolean;
  /** The provider the stage may ask; its resolved id and model are part of the stage key. */
  readonly provider?: "transcriber" | "chat";
  /** The param that may name one as `provider/model`; without it, the best configured one. */
  readonly providerParam?: string;
  /**
   * The param that lists others, as `provider/model`, in their order: whom to ask when the first is
   * out of reach or refuses the account. Not part of the stage key: whoever answers is.
   */
  readonly fallbackParam?: string;
  /** The pool whose slots it takes when the pipeline names none. Default `cpu`. */
  readonly pool?: string;
  /** Of the source its sound is enough: a download may leave the picture out. */
  readonly sourceSound?: boolean;
}

export interface ToolOptions {
  /** Wall-clock bound of the child. Default and maximum: the stage's own timeout. */
  timeoutMs?: number;
  /** Bound of what the child may write to stdout. Default 16 MiB. */
  maxStdoutBytes?: number;
  /** Called with each line of stderr, e.g. ffmpeg's progress. */
  onLine?: (line: string) => void;
}

export interface ToolResult {
  stdout: string;
  stderr: string;
}

export interface TranscribeRequest {
  /** An input, or a part of it that the stage has cut. */
  audio: InputFile | OutputFile;
  /** BCP 47, or null to let the model find out. */
  language: string | null;
  durationSeconds: number;
  /** Names and words that are said in it, spelled as they should be. */
  terms?: readonly string[];
}

export interface TranscribeAnswer {
  language: string | null;
  segments: {
    start: number;
    end: number;
    text: string;
    speaker: string | null;
    confidence?: number;
    words?: { text: string; start: number; end: number; confidence?: number }[];
  }[];
  /** The server tells no times: the one segment is all that was said, over the whole sound. */
  isUntimed?: boolean;
}

export interface ChatRequest<Answer> {
  /** What to do, the same for every request: the part of a prompt that providers cache. */
  instructions?: string;
  prompt: string;
  schema: z.ZodType<Answer>;
  maxAnswerTokens?: number;
  /** From 1. An answer of no use is paid for and kept; the next attempt is another call. */
  attempt?: number;
}

/** A call that costs money. Equal requests have equal keys and are paid for once. */
export interface PaidRequest {
  provider: string;
  model: string;
  operation: string;
  /** JSON. Files are named by their SHA-256 in `files`, never by path. */
  payload: unknown;
  files?: Record<string, InputFile>;
}

export interface PaidAnswer {
  /** JSON. */
  answer: unknown;
  usage: Usage;
  costUsd: number;
}

/** A model's answer that is paid for and of no use; as an attempt of another number it is asked anew. */
export class UnusableAnswer extends ClipscribeError {
  /** False where it is known from before: nothing was asked, nothing paid. */
  readonly isNew: boolean;

  constructor(message: string, isNew: boolean, cause?: unknown) {
    super("contract", message, { cause });
    this.isNew = isNew;
  }
}

export interface StageLog {
  debug(message: string, details?: Record<string, unknown>): void;
  info(message: string, details?: Record<string, unknown>): void;
  warn(message: string, details?: Record<string, unknown>): void;
}

/** Everything a stage may touch. All paths that it returns are absolute. */
export interface StageContext {
  /** Aborts when the item is cancelled or the runner drains; tools end by themselves. */
  readonly signal: AbortSignal;
  readonly log: StageLog;
  /** What the stage's `needs.provider` resolved to, or null where none is configured. */
  readonly provider: ProviderChoice | null;

  /** Reads a file as UTF-8; invalid bytes become U+FFFD. @throws `contract` above 64 MiB. */
  readText(file: InputFile | OutputFile): Promise<string>;
  /** Reads a file as it is. @throws `contract` above 64 MiB. */
  readBytes(file: InputFile | OutputFile): Promise<Uint8Array>;
  /** Returns the path of a file of that name in the scratch folder, which it makes. */
  outputFile(name: string): Promise<OutputFile>;
  /** Writes a file of that name into the scratch folder. */
  write(name: string, content: string | Uint8Array): Promise<OutputFile>;
  /**
   * Runs a media tool as a sandboxed child: no network, no home folder; it can read the stage's
   * inputs and write the scratch folder. Arguments go as they are, never through a shell.
   *
   * @throws `contract` when it exits non-zero, is killed by a cap or refuses the input;
   *   `config` when it isn't installed.
   */
  tool(name: MediaToolName, args: readonly string[], options?: ToolOptions): Promise<ToolResult>;
  /** Reports how far it is, 0–1, and what it does, in a few words. */
  progress(fraction: number, note?: string): void;

  /** @throws `config` where no transcriber is configured. */
  transcribe(request: TranscribeRequest): Promise<TranscribeAnswer>;
  /** @throws `config` where no chat model is configured, UnusableAnswer if it does not fit the schema. */
  chat<Answer>(request: ChatRequest<Answer>): Promise<Answer>;
  /**
   * Says that the outputs lack something that another run may bring. The item is then `partial`
   * with this reason, and the stage is not taken as done: the next run asks again.
   */
  incomplete(why: string): void;
  /** Pays for a call once, however often it is asked for. @throws `budget`, `config`, … */
  paid(request: PaidRequest, estimateUsd: number): Promise<PaidAnswer>;
}

export interface StageArguments<I extends Inputs, O extends Outputs, P extends z.ZodType> {
  readonly input: InputValues<I>;
  readonly params: z.output<P>;
  readonly ctx: StageContext;
  /** Never present; ties the outputs to the type. */
  readonly __outputs?: O;
}

/** What a stage will take, for `clipscribe plan` and for budgets. */
export interface StageEstimate {
  seconds: number;
  /** At most about this; budgets hold an item by it before its first paid call. */
  costUsd: number;
}

export interface EstimateAbout<Params> {
  mediaSeconds: number;
  /** How much was said; null as long as there is no transcript. */
  spoken: { chars: number; segments: number } | null;
  params: Params;
  /** Whom the stage would ask; null where nobody is configured. */
  provider: ProviderChoice | null;
}

export interface ProviderChoice {
  readonly provider: string;
  readonly model: string;
  /** What is known of it, its price here included; without it, what the model data say. */
  readonly spec?: ModelSpec;
}

export interface MisfitAbout<Params> {
  params: Params;
  model: ModelSpec;
  /** By input: the params of the stage that makes it, where the pipeline is known. */
  makers: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

/** What a model can't do of what the params want. */
export interface Misfit {
  param: string;
  message: string;
  hint: string;
}

export interface StageDefinition<
  I extends Inputs = Inputs,
  O extends Outputs = Outputs,
  P extends z.ZodType = z.ZodType,
> {
  readonly input: I;
  readonly output: O;
  readonly params: P;
  /** Params that name a text file beside pipeline.yaml: `run` gets the file's content instead. */
  readonly textParams?: readonly (keyof z.output<P> & string)[];
  readonly needs?: StageNeeds;
  readonly estimate?: (about: EstimateAbout<z.output<P>>) => StageEstimate;
  /** For `validate`, where the pipeline names a model, and before the first call. */
  readonly misfit?: (about: MisfitAbout<z.output<P>>) => Misfit | undefined;
  run(args: StageArguments<I, O, P>): Promise<OutputValues<O>> | OutputValues<O>;
}

const artifactName = /^[a-z][a-z0-9_]{0,39}$/;

/**
 * Checks a stage's declaration and returns it unchanged.
 *
 * @throws `bug` for an output that takes a built-in's name, or an unusable artifact name.
 */
export function defineStage<I extends Inputs, O extends Outputs, P extends z.ZodType>(
  definition: StageDefinition<I, O, P>,
): StageDefinition<I, O, P> {
  for (const name of Object.keys(definition.output)) {
    const reserved = (BUILT_IN_INPUTS as readonly string[]).includes(name);
    if (reserved || !artifactName.test(name)) {
      throw new ClipscribeError("bug", "a stage can't have an output of that name", {
        details: { name },
        hint: `use a-z, 0-9 and _, and none of ${BUILT_IN_INPUTS.join(", ")}`,
      });
    }
  }
  return definition;
}
