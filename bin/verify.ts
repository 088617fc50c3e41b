/**
 * `clipscribe verify FOLDER…`: whether results are what was published, from their files alone: every
 * hash, every quote against the transcript, every node and edge of the graph, every copied figure.
 */
import { existsSync, readFileSync, readdirSync, statSync } from "node:fs";
import { join, resolve } from "node:path";

import { z } from "zod";

import { ClipscribeError, asClipscribeError } from "../core/errors.ts";
import { EXIT } from "../core/exit-codes.ts";
import { KnowledgeGraph } from "../core/intelligence.ts";
import { JobManifest } from "../core/message-records.ts";
import { Manifest } from "../core/records.ts";
import { safeLine } from "../core/safe-text.ts";
import { hashFile } from "../runner/stage-values.ts";
import type { Io } from "./io.ts";
import {
  CoreFile,
  TranscriptFile,
  verifyCopies,
  verifyGraph,
  verifyQuotes,
} from "./verify-findings.ts";

const MANIFEST = "manifest.json";
/** Beside what the manifest lists. */
const ALWAYS = [MANIFEST, `${MANIFEST}.tsr`, "manifest-sha256.txt"];
/** results/JOB/ITEM: a folder of jobs is two levels above its items. */
const MAX_DEPTH = 3;

interface Verdict {
  folder: string;
  files: number;
  quotes: number;
  /** When a timestamp authority saw the manifest. */
  timestamp: string | null;
  /** Files that lie there and were not published: a person's own, perhaps. */
  besides: string[];
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
    for (const { folder, files, quotes, timestamp, besides, problems } of verdicts) {
      const name = safeLine(folder, 1_000);
      if (problems.length === 0)
        io.stdout(
          `good  ${name}: ${files} files, ${quotes} quotes${timestamp === null ? "" : `, timestamped ${timestamp}`}\n`,
        );
      else io.stdout(`BAD   ${name}\n`);
      for (const problem of problems) io.stdout(`      ${safeLine(problem)}\n`);
      if (besides.length > 0) {
        io.stdout(`      not published, so not checked: ${safeLine(besides.join(", "))}\n`);
      }
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
  const verdict: Verdict = {
    folder,
    files: 0,
    quotes: 0,
    timestamp: null,
    besides: [],
    problems: [],
  };
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
  verifyContents(folder, manifest, verdict);
  const published = new Set([...ALWAYS, ...manifest.files.map(({ path }) => path)]);
  verdict.besides = readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isFile() && !entry.name.startsWith(".") && !published.has(entry.name))
    .map(({ name }) => name);
  return verdict;
}

function verifyContents(folder: string, manifest: Manifest | JobManifest, verdict: Verdict): void {
  const { problems } = verdict;
  const published = new Set(manifest.files.map(({ path }) => path));
  const read = <Value>(name: string, schema: z.ZodType<Value>): Value | undefined =>
    published.has(name) ? readJson(folder, name, schema, problems) : undefined;
  const core = read("core.json", CoreFile);
  const transcript = read("transcript.json", TranscriptFile);
  if (core !== undefined && transcript !== undefined) {
    const { count, problems: found } = verifyQuotes(core, transcript);
    verdict.quotes = count;
    problems.push(...found);
    if ("stages" in manifest) problems.push(...verifyCopies(core, transcript, manifest));
  }
  const graph = read("knowledge_graph.json", KnowledgeGraph);
  if (graph !== undefined) problems.push(...verifyGraph(graph, core));
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
