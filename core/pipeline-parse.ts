/**
 * `pipeline.yaml` from text to a typed value with positions. All problems are collected; a file
 * that is too large, or uses anchors, tags or duplicate keys, is refused before anything is built
 * from it.
 */
import { LineCounter, isMap, isScalar, isSeq, parseDocument, visit } from "yaml";
import type { Document, Node, ParsedNode } from "yaml";
import type { z } from "zod";

import { didYouMean } from "./did-you-mean.ts";
import { RawPipeline, RawStage, parseDuration } from "./pipeline-schema.ts";
import { DEFAULT_RETENTION } from "./retention.ts";
import type {
  ParsedPipeline,
  Pipeline,
  PipelineProblem,
  PipelineResult,
  SourceMap,
  YamlPath,
} from "./pipeline.ts";

/** Ten times the largest pipeline that anyone could oversee. */
export const MAX_PIPELINE_CHARS = 256 * 1024;
/** Deeper nesting than this is an attack on whoever walks it. */
const MAX_DEPTH = 20;

export function parsePipeline(text: string, file: string): PipelineResult<ParsedPipeline> {
  if (text.length > MAX_PIPELINE_CHARS) {
    const message = `the file is too large: at most ${MAX_PIPELINE_CHARS / 1024} KiB`;
    return { ok: false, problems: [{ line: null, column: null, message, hint: null }] };
  }
  const lines = new LineCounter();
  let document: Document.Parsed;
  try {
    document = parseDocument(text.replace(/^\ufeff/, ""), {
      lineCounter: lines,
      prettyErrors: false,
      uniqueKeys: true,
      version: "1.2",
      schema: "core",
      resolveKnownTags: false,
    });
  } catch {
    // yaml gives up on hopeless nesting by an exception.
    const message = "the file can't be read as YAML";
    return { ok: false, problems: [{ line: null, column: null, message, hint: "simplify it" }] };
  }
  const syntax = [...syntaxProblems(document, lines), ...forbiddenNodes(document, lines)];
  if (syntax.length > 0) return { ok: false, problems: syntax };
  const sourceMap = createSourceMap(file, text, document, lines);
  const value: unknown = document.toJS({ maxAliasCount: 0 });
  const parsed = RawPipeline.safeParse(value ?? {});
  if (!parsed.success) {
    return { ok: false, problems: sortProblems(schemaProblems(parsed.error, sourceMap)) };
  }
  const problems = duplicateProblems(parsed.data, sourceMap);
  if (problems.length > 0) return { ok: false, problems: sortProblems(problems) };
  return { ok: true, value: { pipeline: toPipeline(parsed.data), sourceMap } };
}

/** Makes a problem at a path of the document, or at its nearest parent that exists. */
export function problemAt(
  sourceMap: SourceMap,
  path: YamlPath,
  at: "key" | "value",
  message: string,
  hint: string | null = null,
): PipelineProblem {
  for (let length = path.length; length >= 0; length--) {
    const where = length === path.length ? at : "value";
    const found = sourceMap.positionOf(path.slice(0, length), where);
    if (found !== undefined) return { ...found, message, hint };
  }
  return { line: null, column: null, message, hint };
}

export function sortProblems(problems: PipelineProblem[]): PipelineProblem[] {
  return problems.toSorted(
    (a, b) => (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0),
  );
}

/** Turns a zod error into problems whose positions are below `base`. */
export function describeIssues(
  error: z.ZodError,
  sourceMap: SourceMap,
  base: YamlPath,
  knownKeys: (path: YamlPath) => readonly string[],
): PipelineProblem[] {
  return error.issues.flatMap((issue) => {
    const path = [...base, ...issue.path.map((part) => (typeof part === "symbol" ? "" : part))];
    if (issue.code === "unrecognized_keys") {
      return issue.keys.map((key) => describeUnknownKey(sourceMap, path, key, knownKeys(path)));
    }
    const message = issue.message.replace(/^Invalid input: /, "");
    const missing = sourceMap.positionOf(path, "value") === undefined;
    const last = path.at(-1);
    if (missing && typeof last === "string") {
      return [problemAt(sourceMap, path, "value", `\`${last}\` is missing: ${message}`)];
    }
    const name = typeof last === "string" ? `\`${last}\`: ` : "";
    return [problemAt(sourceMap, path, "value", `${name}${message}`)];
  });
}

function describeUnknownKey(
  sourceMap: SourceMap,
  path: YamlPath,
  key: string,
  known: readonly string[],
): PipelineProblem {
  const hint = didYouMean(key, known) ?? (known.length > 0 ? `known: ${known.join(", ")}` : null);
  return problemAt(sourceMap, [...path, key], "key", `unknown key \`${key}\``, hint);
}

function schemaProblems(error: z.ZodError, sourceMap: SourceMap): PipelineProblem[] {
  return describeIssues(error, sourceMap, [], (path) => {
    if (path.length === 0) return Object.keys(RawPipeline.shape);
    if (path[0] === "stages" && path.length === 2) return Object.keys(RawStage.shape);
    if (path.at(-1) === "retry") return ["attempts", "backoff"];
    if (path.at(-1) === "budget") return Object.keys(RawPipeline.shape.budget.unwrap().shape);
    if (path.at(-1) === "retention") return Object.keys(RawPipeline.shape.retention.unwrap().shape);
    if (path.at(-1) === "notify") return Object.keys(RawPipeline.shape.notify.unwrap().shape);
    return [];
  });
}

function duplicateProblems(raw: RawPipeline, sourceMap: SourceMap): PipelineProblem[] {
  const problems: PipelineProblem[] = [];
  const seen = new Set<string>();
  for (const [index, { id }] of raw.stages.entries()) {
    if (seen.has(id)) {
      const path = ["stages", index, "id"];
      problems.push(problemAt(sourceMap, path, "value", `a second stage is called \`${id}\``));
    }
    seen.add(id);
  }
  const published = new Set<string>();
  for (const [index, file] of raw.publish.entries()) {
    if (published.has(file.toLowerCase())) {
      const message = `\`${file}\` is published twice`;
      problems.push(problemAt(sourceMap, ["publish", index], "value", message));
    }
    published.add(file.toLowerCase());
  }
  return problems;
}

function toPipeline(raw: RawPipeline): Pipeline {
  return {
    name: raw.pipeline,
    accept: raw.accept,
    stages: raw.stages.map((stage) => ({
      id: stage.id,
      uses: stage.uses,
      runsOn: stage.runs_on,
      with: stage.with,
      in: stage.in,
      retry: stage.retry,
      timeoutMs: parseDuration(stage.timeout) ?? 0,
      pool: stage.pool ?? null,
      optional: stage.optional,
    })),
    publish: raw.publish,
    pools: raw.pools,
    budget: {
      itemUsd: raw.budget.item_usd ?? null,
      jobUsd: raw.budget.job_usd ?? null,
      dayUsd: raw.budget.day_usd ?? null,
    },
    // Absent where nothing is said, so that it changes no digest.
    ...(raw.notify !== undefined && {
      notify: { email: raw.notify.email ?? null, webhook: raw.notify.webhook ?? null },
    }),
    ...(raw.retention !== undefined && { retention: toRetention(raw.retention) }),
    // Left out where it is not said: pipelines that never mention it keep their digest.
    ...(raw.upload !== undefined && { upload: raw.upload }),
  };
}

function toRetention({
  source,
  blobs,
}: NonNullable<RawPipeline["retention"]>): NonNullable<Pipeline["retention"]> {
  return {
    sourceDays: source === undefined ? DEFAULT_RETENTION.sourceDays : parseInt(source, 10),
    blobDays: blobs === undefined ? DEFAULT_RETENTION.blobDays : parseInt(blobs, 10),
  };
}

function syntaxProblems(document: Document.Parsed, lines: LineCounter): PipelineProblem[] {
  return [...document.errors, ...document.warnings].map(({ message, pos }) => {
    const { line, col } = lines.linePos(pos[0]);
    return { line, column: col, message: message.split("\n")[0] ?? message, hint: null };
  });
}

/** Anchors, aliases and tags: nothing here needs them, and bombs are made of them. */
function forbiddenNodes(document: Document.Parsed, lines: LineCounter): PipelineProblem[] {
  const problems: PipelineProblem[] = [];
  const refuse = (node: Node, message: string): symbol => {
    const { line, col } = lines.linePos(node.range?.[0] ?? 0);
    problems.push({ line, column: col, message, hint: "write the value out" });
    return visit.BREAK;
  };
  visit(document, {
    Alias: (_key, node) => refuse(node, "YAML aliases (`*name`) are not used here"),
    Node: (_key, node, path) => {
      if (path.length > MAX_DEPTH * 2) return refuse(node, "the values are nested too deeply");
      if ((node as { anchor?: string }).anchor !== undefined) {
        return refuse(node, "YAML anchors (`&name`) are not used here");
      }
      if (node.tag !== undefined && document.errors.length === 0 && isTagged(node)) {
        return refuse(node, "YAML tags (`!name`) are not used here");
      }
      return undefined;
    },
  });
  return problems;
}

function isTagged(node: Node): boolean {
  return node.tag?.startsWith("tag:yaml.org,2002:") === false;
}

function createSourceMap(
  file: string,
  text: string,
  document: Document.Parsed,
  lines: LineCounter,
): SourceMap {
  return {
    file,
    text,
    positionOf(path, at = "value") {
      const offset = offsetOf(document.contents, path, at);
      if (offset === undefined) return undefined;
      const { line, col } = lines.linePos(offset);
      return { line, column: col };
    },
  };
}

function offsetOf(
  root: ParsedNode | null,
  path: YamlPath,
  at: "key" | "value",
): number | undefined {
  let node: unknown = root;
  let keyOffset: number | undefined;
  for (const part of path) {
    if (isMap(node)) {
      const pair = node.items.find(
        ({ key }) => isScalar(key) && String(key.value) === String(part),
      );
      if (pair === undefined) return undefined;
      keyOffset = (pair.key as Node).range?.[0];
      node = pair.value;
    } else if (isSeq(node) && typeof part === "number" && part < node.items.length) {
      node = node.items[part];
      keyOffset = (node as Node | null)?.range?.[0];
    } else {
      return undefined;
    }
  }
  if (at === "key") return keyOffset;
  return (node as Node | null)?.range?.[0] ?? keyOffset;
}
