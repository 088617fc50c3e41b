/** Loads and checks a pipeline file: its YAML, its stages' bundles, the texts that params name. */
import { existsSync, readFileSync, readdirSync, realpathSync, statSync } from "node:fs";
import { basename, dirname, join, resolve, sep } from "node:path";

import { importStage, openStageBundler } from "../adapters/esbuild/stage-bundler.ts";
import type { StageBundler } from "../adapters/esbuild/stage-bundler.ts";
import { ClipscribeError, asClipscribeError } from "../core/errors.ts";
import type { Sha256 } from "../core/ids.ts";
import { checkPipeline } from "../core/pipeline-check.ts";
import { parsePipeline } from "../core/pipeline-parse.ts";
import { formatProblems } from "../core/pipeline-problems.ts";
import type { CheckedPipeline, LoadedStage, PipelineProblem } from "../core/pipeline.ts";
import type { PipelineIndex } from "../core/pushed-pipeline.ts";
import { INSTALL_ROOT, readVersion } from "./install.ts";

/** Part of every bundle's index: a new esbuild or new options make all stages anew. */
const TOOLCHAIN = "esbuild 0.28.2, options 2";
const MAX_TEXT_BYTES = 1024 * 1024;

export interface LoadedPipeline {
  file: string;
  pipeline: CheckedPipeline;
  /** All that it takes, with its bundles, to have it again where its files are others. */
  index: PipelineIndex;
  /** Absolute paths of its bundles: the stages' own, and what these import. */
  bundles: string[];
  /** Every file that its digest depends on: path, size, mtime in ms, inode. */
  stamps: FileStamp[];
}

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
  const pipeline = checked.value;
  const shared = await bundler.shared();
  const index: PipelineIndex = {
    schema: 1,
    digest: pipeline.digest,
    name: pipeline.name,
    yaml: text,
    stages: Object.fromEntries(pipeline.stages.map(({ uses, codeDigest }) => [uses, codeDigest])),
    shared,
    texts: contents,
    clipscribe_version: readVersion(),
  };
  const bundles = [
    ...pipeline.stages.map(({ bundlePath }) => bundlePath),
    ...shared.map((name) => join(bundlesIn(home), name)),
  ];
  return { file, pipeline, index, bundles, stamps };
}

/**
 * The pipeline of an index, from the bundles that lie in that folder; no file of it is read.
 *
 * @throws `config` where it does not fit this version or a bundle is gone; `contract` where it is not
 *   what its digest says.
 */
export async function buildPipeline(
  index: PipelineIndex,
  bundlesDir: string,
): Promise<CheckedPipeline> {
  const parsed = parsePipeline(index.yaml, "pipeline.yaml");
  if (!parsed.ok) throw outdated(index, parsed.problems[0]?.message);
  const loaded = new Map<string, LoadedStage | ClipscribeError>();
  for (const [uses, digest] of Object.entries(index.stages)) {
    loaded.set(uses, await importStage(uses, digest, bundlesDir).catch(asClipscribeError));
  }
  const checked = checkPipeline(parsed.value, {
    loaded,
    readText: (path) =>
      index.texts[path] ?? new ClipscribeError("config", "its text is not in the index"),
    knownStages: Object.keys(index.stages),
  });
  if (!checked.ok) throw outdated(index, checked.problems[0]?.message);
  // Another version may read the same file into another form; the bundles and texts are the same.
  const isOurs = index.clipscribe_version === readVersion();
  if (checked.value.digest !== index.digest && isOurs) throw notItself(index.digest);
  return { ...checked.value, digest: index.digest };
}

function outdated(index: PipelineIndex, problem: string | undefined): ClipscribeError {
  return new ClipscribeError("config", "a pushed pipeline does not fit this version", {
    details: { digest: index.digest.slice(0, 12), pushed_by: index.clipscribe_version, problem },
    hint: "push it again from the present version",
  });
}

export function notItself(digest: Sha256): ClipscribeError {
  return new ClipscribeError("contract", "a pushed pipeline is not what its name says", {
    details: { digest: digest.slice(0, 12) },
    hint: "push it again, and look at who may write pipelines/",
  });
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
