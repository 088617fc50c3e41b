/**
 * Runs one stage in this thread, for its own test: the same checks of inputs, params and outputs
 * and the same `ctx` as in a run, without cache, retries or publishing.
 *
 * ```ts
 * const { outputs, text } = await runStage(t, stage, { input: { transcript }, tools });
 * ```
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";

import { z } from "zod";

import { ClipscribeError } from "../core/errors.ts";
import type {
  InputFile,
  Inputs,
  Outputs,
  PaidAnswer,
  PaidRequest,
  StageDefinition,
  TranscribeAnswer,
  TranscribeRequest,
} from "../core/stage.ts";
import type { MediaTools } from "../ports/media-tools.ts";
import type { MadeArtifact, SentInput, StageHost } from "../ports/stage-pool.ts";
import { createStageContext } from "./stage-context.ts";
import { collectOutputs, hashFile, parseInputs, parseParams } from "./stage-values.ts";

/** A stage under test that takes longer has hung. */
const TOOL_TIMEOUT_MS = 60_000;

export interface StageRunOptions {
  /** JSON values; for files a path, or `{path, name, mediaType}`; lists of these for `files`. */
  input: Record<string, unknown>;
  /** Defaults of the contract are filled in. Text params: the text itself. */
  params?: Record<string, unknown>;
  tools?: MediaTools;
  provider?: { provider: string; model: string };
  transcribe?: (request: TranscribeRequest) => Promise<TranscribeAnswer>;
  chat?: (prompt: string) => Promise<unknown>;
  paid?: (request: PaidRequest) => Promise<PaidAnswer>;
  signal?: AbortSignal;
}

export interface StageRunResult {
  artifacts: Record<string, MadeArtifact>;
  /** JSON outputs, as a later stage would get them. */
  json: Record<string, unknown>;
  /** Reads an output as UTF-8 text. */
  text(output: string): Promise<string>;
  /** Absolute path of a file output. */
  path(output: string): string;
  log: { level: string; message: string; details: Record<string, unknown> }[];
  progress: number[];
  /** Reasons that the stage gave with `ctx.incomplete`. */
  incomplete: string[];
}

interface TestLike {
  after(clean: () => Promise<void>): void;
}

export async function runStage<I extends Inputs, O extends Outputs, P extends z.ZodType>(
  t: TestLike,
  stage: StageDefinition<I, O, P>,
  options: StageRunOptions,
): Promise<StageRunResult> {
  const definition = stage as unknown as StageDefinition;
  const scratchDir = await mkdtemp(join(tmpdir(), "clipscribe-stage-"));
  t.after(() => rm(scratchDir, { recursive: true, force: true }));
  const sent: Record<string, SentInput> = {};
  for (const [name, descriptor] of Object.entries(definition.input)) {
    sent[name] = await sendInput(descriptor.kind, options.input[name]);
  }
  const log: StageRunResult["log"] = [];
  const progress: number[] = [];
  const incomplete: string[] = [];
  const signal = options.signal ?? new AbortController().signal;
  const ctx = createStageContext({
    host: testHost(options, scratchDir, readablePaths(sent), signal, { log, progress, incomplete }),
    signal,
    scratchDir,
    provider: options.provider ?? null,
    toJsonSchema: (schema) => z.toJSONSchema(schema as z.ZodType),
  });
  const input = parseInputs(definition, sent);
  const params = parseParams(definition, options.params ?? {});
  const returned = await definition.run({ input, params, ctx });
  const artifacts = await collectOutputs(definition, returned, scratchDir);

  const contentOf = async (output: string): Promise<string> => {
    const made = artifacts[output];
    if (made === undefined) throw new ClipscribeError("missing", `no output ${output}`);
    return made.content.kind === "text" ? made.content.text : readFile(made.content.path, "utf8");
  };
  const json: Record<string, unknown> = {};
  for (const [name, descriptor] of Object.entries(definition.output)) {
    if (descriptor.kind === "json" && name in artifacts) {
      json[name] = JSON.parse(await contentOf(name)) as unknown;
    }
  }
  return {
    artifacts,
    json,
    log,
    progress,
    incomplete,
    text: contentOf,
    path(output) {
      const made = artifacts[output];
      if (made === undefined || definition.output[output]?.kind !== "file") {
        throw new ClipscribeError("missing", `no file ${output}`);
      }
      if (made.content.kind === "file") return made.content.path;
      const path = join(scratchDir, made.fileName ?? output);
      mkdirSync(scratchDir, { recursive: true });
      writeFileSync(path, made.content.text);
      return path;
    },
  };
}

async function sendInput(kind: "json" | "file" | "files", value: unknown): Promise<SentInput> {
  if (value === undefined) {
    return kind === "files" ? { kind: "files", files: [] } : { kind: "absent" };
  }
  if (kind === "json") return { kind: "json", text: JSON.stringify(value) };
  if (kind === "file") return { kind: "file", file: await describeFile(value) };
  return { kind: "files", files: await Promise.all((value as unknown[]).map(describeFile)) };
}

async function describeFile(value: unknown): Promise<InputFile> {
  const given = (typeof value === "string" ? { path: value } : value) as Partial<InputFile> & {
    path: string;
  };
  const { sha256 } = await hashFile(given.path);
  const { size } = await stat(given.path);
  return {
    path: given.path,
    sha256,
    sizeBytes: size,
    mediaType: given.mediaType ?? "application/octet-stream",
    name: given.name ?? basename(given.path),
  };
}

function readablePaths(sent: Record<string, SentInput>): string[] {
  return Object.values(sent).flatMap((input) => {
    if (input.kind === "file") return [input.file.path];
    return input.kind === "files" ? input.files.map((each) => each.path) : [];
  });
}

function testHost(
  options: StageRunOptions,
  scratchDir: string,
  readable: string[],
  signal: AbortSignal,
  heard: Pick<StageRunResult, "log" | "progress" | "incomplete">,
): StageHost {
  const refuse = (what: string) => (): Promise<never> =>
    Promise.reject(new ClipscribeError("config", `no ${what} is configured`));
  return {
    async tool(call, onLine) {
      if (options.tools === undefined) return refuse("media tool")();
      return options.tools.run({
        tool: call.tool,
        args: call.args,
        readable,
        writableDir: scratchDir,
        timeoutMs: call.timeoutMs ?? TOOL_TIMEOUT_MS,
        maxStdoutBytes: call.maxStdoutBytes,
        onLine,
        signal,
      });
    },
    transcribe: options.transcribe ?? refuse("transcriber"),
    chat: async (call) => {
      const answer = await (options.chat ?? refuse("chat model"))(call.prompt);
      return { answer, isNew: true };
    },
    paid: options.paid ?? refuse("provider"),
    progress: (fraction) => void heard.progress.push(fraction),
    incomplete: (why) => void heard.incomplete.push(why),
    log: (level, message, details) => void heard.log.push({ level, message, details }),
  };
}
