/**
 * `clipscribe verify FOLDER…`: whether results are what was published, from their files alone: every
 * hash, every quote against the transcript, every edge of the graph.
 */
import { existsSync, readFileSync, readdirSync, statSync } from "node:fs";
import { join, resolve } from "node:path";

import { z } from "zod";

import { ClipscribeError, asClipscribeError } from "../core/errors.ts";
import { EXIT } from "../core/exit-codes.ts";
import { indexQuotes } from "../core/ground-quote.ts";
import { Evidence, KeyMoment, KnowledgeGraph } from "../core/intelligence.ts";
import { JobManifest } from "../core/message-records.ts";
import { Manifest } from "../core/records.ts";
import { safeLine } from "../core/safe-text.ts";
import { Segment } from "../core/transcript.ts";
import { hashFile } from "../runner/stage-values.ts";
import type { Io } from "./io.ts";

const MANIFEST = "manifest.json";
/** results/JOB/ITEM: a folder of jobs is two levels above its items. */
const MAX_DEPTH = 3;

const Supported = z.object({ evidence: z.array(Evidence) });
const CoreFile = z.object({
  entities: z.array(Supported),
  relationships: z.array(Supported),
  key_moments: z.array(KeyMoment),
  topic_evidence: z.array(Supported).default([]),
  summary_evidence: z.array(Evidence).default([]),
  sentiment: Supported.nullish(),
});
const TranscriptFile = z.object({ segments: z.array(Segment) });

interface Verdict {
  folder: string;
  files: number;
  quotes: number;
  /** When a timestamp authority saw the manifest. */
  timestamp: string | null;
  problems: string[];
}

export async function verify(
  args: readonly string[],
  { json }: { json: boolean },
  io: Io,
): Promise<number> {
  const folders = args.flatMap((arg) => findItems(resolve(io.cwd, arg), 0));
  if (folders.length === 0) {
    throw new ClipscribeError("missing", "no results are there", {
      details: { path: args[0] },
      hint: "name a folder with a manifest.json, or one above it, as results/",
    });
  }
  const verdicts: Verdict[] = [];
  for (const folder of folders) verdicts.push(await verifyItem(folder));
  const isGood = verdicts.every(({ problems }) => problems.length === 0);
  if (json) io.stdout(`${JSON.stringify({ schema: 1, ok: isGood, items: verdicts })}\n`);
  else {
    for (const { folder, files, quotes, timestamp, problems } of verdicts) {
      const name = safeLine(folder, 1_000);
      if (problems.length === 0)
        io.stdout(
          `good  ${name}: ${files} files, ${quotes} quotes${timestamp === null ? "" : `, timestamped ${timestamp}`}\n`,
        );
      else io.stdout(`BAD   ${name}\n`);
      for (const problem of problems) io.stdout(`      ${safeLine(problem)}\n`);
    }
  }
  return isGood ? EXIT.complete : EXIT.verification;
}

function findItems(folder: string, depth: number): string[] {
  const own = existsSync(join(folder, MANIFEST)) ? [folder] : [];
  if (depth >= MAX_DEPTH || statSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true) {
    return own;
  }
  const inside = readdirSync(folder, { withFileTypes: true });
  const folders = inside.filter((entry) => entry.isDirectory() && !entry.name.startsWith("."));
  // A job's folder has a manifest of its own, beside the folders of its items.
  return [...own, ...folders.flatMap(({ name }) => findItems(join(folder, name), depth + 1))];
}

async function verifyItem(folder: string): Promise<Verdict> {
  const verdict: Verdict = { folder, files: 0, quotes: 0, timestamp: null, problems: [] };
  const { problems } = verdict;
  const manifest = readJson(folder, MANIFEST, z.union([Manifest, JobManifest]), problems);
  if (manifest === undefined) return verdict;
  for (const { path, sha256, size } of manifest.files) {
    if (path.includes("/") || path.includes("\\") || path.startsWith(".")) {
      problems.push(`${path}: not a name that is published`);
      continue;
    }
    const file = join(folder, path);
    if (!existsSync(file)) problems.push(`${path}: missing`);
    else if (statSync(file).size !== size || (await hashFile(file)).sha256 !== sha256) {
      problems.push(`${path}: changed since it was published`);
    } else verdict.files++;
  }
  await verifyTimestamp(folder, verdict);
  const published = new Set(manifest.files.map(({ path }) => path));
  if (published.has("core.json") && published.has("transcript.json")) {
    verdict.quotes = verifyQuotes(folder, problems);
  }
  if (published.has("knowledge_graph.json")) {
    const graph = readJson(folder, "knowledge_graph.json", KnowledgeGraph, problems);
    const ids = new Set(graph?.nodes.map(({ id }) => id));
    for (const { id, source, target } of graph?.edges ?? []) {
      if (!ids.has(source) || !ids.has(target)) problems.push(`graph: edge ${id} joins no nodes`);
    }
  }
  return verdict;
}

/** That the authority saw this manifest; whether to trust it is for `openssl ts -verify`. */
async function verifyTimestamp(folder: string, verdict: Verdict): Promise<void> {
  const path = join(folder, `${MANIFEST}.tsr`);
  if (!existsSync(path)) return;
  const { readTimestamp } = await import("../adapters/rfc3161/timestamp-authority.ts");
  try {
    const { sha256, at } = readTimestamp(readFileSync(path));
    const { sha256: actual } = await hashFile(join(folder, MANIFEST));
    if (sha256 === actual) verdict.timestamp = at.toISOString();
    else verdict.problems.push(`${MANIFEST}.tsr: the timestamp is of another manifest`);
  } catch (error) {
    verdict.problems.push(`${MANIFEST}.tsr: ${asClipscribeError(error).message}`);
  }
}

/** What is marked verified or repaired has to be found again, and at the same time. */
function verifyQuotes(folder: string, problems: string[]): number {
  const core = readJson(folder, "core.json", CoreFile, problems);
  const transcript = readJson(folder, "transcript.json", TranscriptFile, problems);
  if (core === undefined || transcript === undefined) return 0;
  const supported = [...core.entities, ...core.relationships, ...core.topic_evidence];
  const quotes = [
    ...supported.flatMap(({ evidence }) => evidence),
    ...core.key_moments,
    ...core.summary_evidence,
    ...(core.sentiment?.evidence ?? []),
  ];
  const index = indexQuotes(transcript.segments);
  for (const { quote, segment_ids: ids, start, end, verification } of quotes) {
    if (verification === "unverified") continue;
    const found = index.ground(quote, ids);
    if (found.verification !== "verified") {
      problems.push(`quote is not in ${ids.join(", ")}: ${quote}`);
    } else if (Math.abs(found.start - start) > 0.001 || Math.abs(found.end - end) > 0.001) {
      problems.push(`quote has another time: ${quote}`);
    }
  }
  for (const [at, { evidence }] of core.relationships.entries()) {
    if (!evidence.some(({ verification }) => verification === "verified")) {
      problems.push(`relationship ${at + 1} rests on no verified quote`);
    }
  }
  return quotes.length;
}

function readJson<Value>(
  folder: string,
  name: string,
  schema: z.ZodType<Value>,
  problems: string[],
): Value | undefined {
  try {
    return schema.parse(JSON.parse(readFileSync(join(folder, name), "utf8")));
  } catch {
    problems.push(`${name}: can't be read, or has another shape`);
    return undefined;
  }
}
