/** Loads and checks a pipeline file: its YAML, its stages' bundles, the texts that params name. */
import { existsSync, readFileSync, readdirSync, realpathSync, statSync } from "node:fs";
import { basename, dirname, join, resolve, sep } from "node:path";

import { z } from "zod";

import { openStageBundler } from "../adapters/esbuild/stage-bundler.ts";
import type { StageBundler } from "../adapters/esbuild/stage-bundler.ts";
import { ClipscribeError } from "../core/errors.ts";
import { Sha256 } from "../core/ids.ts";
import { checkPipeline } from "../core/pipeline-check.ts";
import { parsePipeline } from "../core/pipeline-parse.ts";
import { formatProblems } from "../core/pipeline-problems.ts";
import type { CheckedPipeline, PipelineProblem } from "../core/pipeline.ts";
import { INSTALL_ROOT } from "./install.ts";

/** Part of every bundle's index: a new esbuild or new options make all stages anew. */
const TOOLCHAIN = "esbuild 0.28.2, options 1";
const MAX_TEXT_BYTES = 1024 * 1024;

export interface LoadedPipeline {
  file: string;
  pipeline: CheckedPipeline;
  /** Absolute paths of bundles that the stages' bundles import. */
  shared: string[];
  /** Every file that its digest depends on: path, size, mtime in ms, inode. */
  stamps: FileStamp[];
  /** All that it takes to have it again once its files are others. */
  kept: KeptPipeline;
}

export const KeptPipeline = z.object({
  schema: z.literal(1),
  digest: Sha256,
  file: z.string(),
  text: z.string(),
  /** What params name: path → content. */
  texts: z.record(z.string(), z.string()),
  stages: z.array(z.object({ uses: z.string(), digest: Sha256 })),
});
export type KeptPipeline = z.infer<typeof KeptPipeline>;

export type FileStamp = [path: string, size: number, mtimeMs: number, ino: number];

/** Thrown as `config`; `report` has every problem with its place. */
export class PipelineRefused extends ClipscribeError {
  readonly report: string;
  readonly problems: readonly PipelineProblem[];

  constructor(file: string, text: string, problems: readonly PipelineProblem[]) {
    const count = problems.length === 1 ? "a problem" : `${problems.length} problems`;
    super("config", `${basename(file)} has ${count}`, { hint: "correct it, then run again" });
    this.problems = problems;
    this.report = formatProblems(problems, { file: basename(file), text });
  }
}

/** @throws PipelineRefused; `config` where the file can't be read. */
export async function loadPipeline(file: string, home: string): Promise<LoadedPipeline> {
  const root = dirname(file);
  const text = readPipelineText(file);
  const parsed = parsePipeline(text, file);
  if (!parsed.ok) throw new PipelineRefused(file, text, parsed.problems);
  const bundler = openBundler(home);
  const uses = [...new Set(parsed.value.pipeline.stages.map((stage) => stage.uses))];
  const loaded = await bundler.load(root, uses);
  const texts: string[] = [];
  const contents: Record<string, string> = {};
  const checked = checkPipeline(parsed.value, {
    loaded,
    readText: (path) => {
      texts.push(join(root, path));
      const content = readParamText(root, path);
      if (typeof content === "string") contents[path] = content;
      return content;
    },
    knownStages: listStages(root),
  });
  if (!checked.ok) throw new PipelineRefused(file, text, checked.problems);
  const inputs = await bundler.inputs(root, uses);
  const stamps = [...inputs, ...[file, ...texts].map(stampOf)];
  const stages = checked.value.stages.map(({ uses, codeDigest: digest }) => ({ uses, digest }));
  const { digest } = checked.value;
  const kept = { schema: 1 as const, digest, file, text, texts: contents, stages };
  const shared = (await bundler.shared()).map((name) => join(bundlesIn(home), name));
  return { file, pipeline: checked.value, shared, stamps, kept };
}

/** The pipeline that was kept; undefined where its bundles are gone, or nothing was. */
export async function recallPipeline(
  kept: KeptPipeline,
  home: string,
): Promise<CheckedPipeline | undefined> {
  const parsed = parsePipeline(kept.text, kept.file);
  if (!parsed.ok) return undefined;
  const loaded = await openBundler(home).recall(kept.stages);
  const checked = checkPipeline(parsed.value, {
    loaded,
    readText: (path) => kept.texts[path] ?? new ClipscribeError("config", "the text was not kept"),
    knownStages: [],
  });
  return checked.ok && checked.value.digest === kept.digest ? checked.value : undefined;
}

function openBundler(home: string): StageBundler {
  return openStageBundler({
    cacheDir: bundlesIn(home),
    packagesDir: join(INSTALL_ROOT, "node_modules"),
    toolchain: TOOLCHAIN,
  });
}

/** Bundles by the digest of their content, of local and of pushed pipelines alike. */
export function bundlesIn(home: string): string {
  return join(home, "bundles");
}

export function stampOf(path: string): FileStamp {
  const info = statSync(path, { throwIfNoEntry: false });
  return [path, info?.size ?? -1, info?.mtimeMs ?? -1, info?.ino ?? -1];
}

export function readPipelineText(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    throw new ClipscribeError("config", "the pipeline file can't be read", {
      details: { file },
      hint: "name one with --pipeline, or run in a folder that has a pipeline.yaml",
      cause,
    });
  }
}

function readParamText(root: string, path: string): string | ClipscribeError {
  const refuse = (message: string, hint: string): ClipscribeError =>
    new ClipscribeError("config", message, { details: { file: path }, hint });
  try {
    const real = realpathSync(resolve(root, path));
    if (!real.startsWith(realpathSync(root) + sep)) {
      return refuse("the file lies outside the pipeline's folder", "copy it under templates/");
    }
    if (statSync(real).size > MAX_TEXT_BYTES)
      return refuse("the file is too large", "at most 1 MiB");
    return readFileSync(real, "utf8");
  } catch {
    return refuse("there is no such file", "check the path; it is relative to pipeline.yaml");
  }
}

function listStages(root: string): string[] {
  const folder = join(root, "stages");
  if (!existsSync(folder)) return [];
  const names = readdirSync(folder).filter((name) => /(?<!\.test)(?<!\.d)\.ts$/.test(name));
  return names.map((name) => `stages/${name}`);
}
