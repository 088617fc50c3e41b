/**
 * Reads what became of each item of a finished job, and makes the files of the job as a whole. What
 * is published is read by its hash; what can't be read is said, and keeps nothing else from being made.
 */
import { sha256Of } from "../core/digest.ts";
import { ClipscribeError, asClipscribeError, isKind } from "../core/errors.ts";
import type { ErrorRecord } from "../core/errors.ts";
import type { ItemId, JobId, Sha256 } from "../core/ids.ts";
import { KnowledgeGraph } from "../core/intelligence.ts";
import { describeJob } from "../core/job-digest.ts";
import type { ItemFacts } from "../core/job-digest.ts";
import type { ObjectKey, UserKeys } from "../core/keys.ts";
import { createGraphMerger } from "../core/merge-graphs.ts";
import type { Digest } from "../core/message-records.ts";
import { BudgetBook, Manifest } from "../core/records.ts";
import type { JobRow } from "../core/records.ts";
import { getIfPresent } from "../ports/get-if-present.ts";
import type { ObjectStore } from "../ports/object-store.ts";
import { renderDigestHtml, renderDigestMarkdown } from "./digest-pages.ts";
import { readItem } from "./item-record.ts";
import type { FinishedJob } from "./job-rows.ts";
import { MANIFEST_FILE } from "./publish.ts";

/** What a digest wants of it: a job of a thousand items reads as many. */
const DigestManifest = Manifest.pick({ schema: true, files: true, info: true, missing: true });
const READS_AT_ONCE = 16;
const GRAPH_FILE = "knowledge_graph.json";
/** A graph of three hours of talk is a megabyte; a larger one would fill the memory of a small server. */
const MAX_GRAPH_BYTES = 32 * 1024 * 1024;
/** What a person opens first, best first. */
const REPORTS = ["report.html", "report.md", "manifest.json"];

export interface JobFile {
  path: string;
  mediaType: string;
  text: string;
}

export async function makeDigest(
  store: ObjectStore,
  keys: UserKeys,
  { metadata, status }: FinishedJob,
  signal: AbortSignal,
): Promise<{ digest: Digest; files: JobFile[] }> {
  const { job_id: job } = metadata;
  const merger = createGraphMerger();
  const leftOut: Digest["graph"]["left_out"] = [];
  const items: ItemFacts[] = [];
  let graphs = 0;
  const queue = metadata.items.entries();
  const worker = async (): Promise<void> => {
    for (const [index, { item_id: item, source }] of queue) {
      const row = status.rows[item];
      if (row === undefined) continue;
      const read = await readFacts({ store, keys, signal }, job, item, row);
      items[index] = { ...read.facts, item, row, source };
      if (read.graph instanceof Error) leftOut.push({ item_id: item, why: read.graph.message });
      else if (read.graph !== null) {
        merger.add(item, read.graph);
        graphs++;
      }
    }
  };
  await Promise.all(Array.from({ length: READS_AT_ONCE }, worker));

  const merged = merger.merged();
  const digest = describeJob({
    metadata,
    status,
    items: items.flat(),
    spentUsd: await readSpentUsd(store, keys, job, signal),
    graph: {
      nodes: merged.nodes.length,
      edges: merged.edges.length,
      left_out: leftOut.toSorted((a, b) => (a.item_id < b.item_id ? -1 : 1)),
    },
  });
  const files: JobFile[] = [
    { path: "digest.json", mediaType: "application/json", text: toJson(digest) },
    { path: "digest.md", mediaType: "text/markdown", text: renderDigestMarkdown(digest) },
    { path: "digest.html", mediaType: "text/html", text: renderDigestHtml(digest) },
  ];
  if (graphs > 0) {
    files.push({ path: GRAPH_FILE, mediaType: "application/json", text: toJson(merged) });
  }
  return { digest, files };
}

interface Reading {
  store: ObjectStore;
  keys: UserKeys;
  signal: AbortSignal;
}

type ReadFacts = Pick<ItemFacts, "title" | "report" | "missing" | "error">;

async function readFacts(
  reading: Reading,
  job: JobId,
  item: ItemId,
  row: JobRow,
): Promise<{ facts: ReadFacts; graph: KnowledgeGraph | Error | null }> {
  const facts: ReadFacts = { title: null, report: null, missing: [], error: null };
  if (row.status !== "complete" && row.status !== "partial") {
    facts.error = await readError(reading, job, item, row);
  }
  if (row.manifest === null) return { facts, graph: null };
  try {
    const at = (name: string): ObjectKey => reading.keys.result(job, item, name);
    const body = await readPublished(reading, row.manifest.sha256, at(MANIFEST_FILE));
    const { files, info, missing } = DigestManifest.parse(JSON.parse(body));
    const names = new Set(files.map(({ path }) => path));
    facts.title = info.title;
    facts.report = REPORTS.find((name) => names.has(name)) ?? MANIFEST_FILE;
    // Of an earlier run, where this one got nothing published.
    if (row.manifest.run === row.run) {
      facts.missing = missing.map(({ stage, why }) => `${stage} is missing: ${why}`);
    }
    const graph = files.find(({ path }) => path === GRAPH_FILE);
    if (graph === undefined) return { facts, graph: null };
    if (graph.size > MAX_GRAPH_BYTES) {
      return { facts, graph: new ClipscribeError("contract", "its graph is too large") };
    }
    const value: unknown = JSON.parse(await readPublished(reading, graph.sha256, at(GRAPH_FILE)));
    return { facts, graph: KnowledgeGraph.parse(value) };
  } catch (thrown) {
    const error = asClipscribeError(thrown);
    const { kind, message } = error;
    // The store's trouble passes; a record that is gone or damaged does not.
    if (kind === "transient" || kind === "denied" || kind === "cancelled") throw error;
    const why = kind === "missing" || kind === "contract" ? message : "it can't be read";
    return { facts, graph: new ClipscribeError("contract", why) };
  }
}

/** Why this run of the item did not get through; null where a newer run has begun. */
async function readError(
  { store, keys, signal }: Reading,
  job: JobId,
  item: ItemId,
  row: JobRow,
): Promise<ErrorRecord | null> {
  try {
    const found = await readItem(store, keys.item(job, item), { signal });
    return found?.state.run === row.run ? found.state.error : null;
  } catch (error) {
    if (isKind(error, "contract")) return null;
    throw error;
  }
}

/** An item that was published long ago has no blobs any more: its copies are read, if they are whole. */
async function readPublished(
  { store, keys, signal }: Reading,
  sha256: Sha256,
  copy: ObjectKey,
): Promise<string> {
  const blob = await getIfPresent(store, keys.blob(sha256), { signal });
  const { body } = blob ?? (await store.get(copy, { signal }));
  if (sha256Of(body) === sha256) return Buffer.from(body).toString("utf8");
  throw new ClipscribeError("contract", "what was published is damaged in the store");
}

/** A book that can't be read says nothing; the rows do. */
async function readSpentUsd(
  store: ObjectStore,
  keys: UserKeys,
  job: JobId,
  signal: AbortSignal,
): Promise<number> {
  const found = await getIfPresent(store, keys.jobBudget(job), { signal });
  if (found === undefined) return 0;
  try {
    return BudgetBook.parse(JSON.parse(Buffer.from(found.body).toString("utf8"))).spent;
  } catch {
    return 0;
  }
}

function toJson(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}
