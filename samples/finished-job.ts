/** A job whose items are over, as their tails leave it: for tests of what comes after. */
import { sha256Of } from "../core/digest.ts";
import { ItemId, JobId } from "../core/ids.ts";
import type { UserId } from "../core/ids.ts";
import { keysOf } from "../core/keys.ts";
import { Manifest, Metadata } from "../core/records.ts";
import type { ErrorRecord } from "../core/errors.ts";
import type { ItemState, JobRow, JobStatus } from "../core/records.ts";
import type { ObjectStore } from "../ports/object-store.ts";

export interface EndedItem {
  id: string;
  status: JobRow["status"];
  run?: number;
  cost?: number;
  title?: string;
  url?: string;
  error?: ErrorRecord;
  missing?: { stage: string; why: string }[];
  /** Names, and who met whom. */
  graph?: { names: readonly string[]; met?: readonly [number, number][] };
}

export interface FinishedJobOptions {
  user: UserId;
  job: string;
  items: readonly EndedItem[];
  notify?: { email: string | null; webhook: string | null };
}

const AT = "2026-11-24T22:00:00.000Z";
const DIGEST = sha256Of("pipeline");

/** Writes what was submitted, what is published, and the states; not the rows. */
export async function layFinishedJob(
  store: ObjectStore,
  { user, job: name, items, notify = { email: null, webhook: null } }: FinishedJobOptions,
): Promise<JobStatus> {
  const keys = keysOf(user);
  const job = JobId.parse(name);
  const put = async (key: Parameters<ObjectStore["put"]>[0], value: unknown): Promise<void> => {
    await store.put(key, Buffer.from(typeof value === "string" ? value : JSON.stringify(value)));
  };
  const source = ({ id, url }: EndedItem): object => ({
    kind: url === undefined ? "file" : "url",
    url: url ?? null,
    filename: `${id}.mp4`,
    sha256: sha256Of(id),
    size: 1,
    media_type: "video/mp4",
  });
  const metadata = Metadata.parse({
    schema: 1,
    job_id: job,
    user,
    user_email: null,
    submitted_at: AT,
    lane: "batch",
    pipeline: { name: "test", digest: DIGEST },
    items: items.map((item) => ({ item_id: item.id, source: source(item) })),
    options: {},
    device: "test",
    notify,
    control: { state: "run", budget_usd: null },
  });
  await put(keys.metadata(job), metadata);
  const rows: JobStatus["rows"] = {};
  for (const item of items) {
    const { id, status, run = 1, cost = 0 } = item;
    let manifest: JobRow["manifest"] = null;
    if (status === "complete" || status === "partial") {
      const files = [];
      if (item.graph !== undefined) {
        const text = JSON.stringify(graphOf(item.graph));
        const sha256 = sha256Of(text);
        await put(keys.blob(sha256), text);
        files.push({
          path: "knowledge_graph.json",
          sha256,
          size: text.length,
          media_type: "application/json",
          stage: "graph",
        });
      }
      files.push({
        path: "report.html",
        sha256: sha256Of("report"),
        size: 6,
        media_type: "text/html",
        stage: "report",
      });
      const text = JSON.stringify(
        Manifest.parse({
          schema: 1,
          job_id: job,
          item_id: id,
          run,
          outcome: status,
          missing: item.missing ?? [],
          absent: [],
          clipscribe_version: "0",
          pipeline: { name: "test", digest: DIGEST },
          source: source(item),
          info: { title: item.title ?? null, file_name: `${id}.mp4` },
          files,
          stages: [],
          cost_usd: cost,
          published_at: AT,
        }),
      );
      manifest = { sha256: sha256Of(text), size: text.length, run };
      await put(keys.blob(manifest.sha256), text);
    }
    const state: ItemState = {
      schema: 1,
      job_id: job,
      item_id: ItemId.parse(id),
      user,
      status,
      run,
      input: null,
      progress: 100,
      stage: null,
      attempts: 1,
      fruitless_claims: 0,
      not_before: null,
      epoch: 1,
      owner: null,
      pipeline_digest: DIGEST,
      manifest,
      cost,
      estimate_usd: null,
      video_key: null,
      results_key: null,
      error: item.error ?? null,
      stages: {},
      submitted_at: AT,
      updated_at: AT,
    };
    await put(keys.item(job, state.item_id), state);
    rows[id] = { status, run, cost, manifest };
  }
  return { schema: 1, job_id: job, status: "finished", rows, finished_at: AT, updated_at: AT };
}

function graphOf({ names, met = [] }: NonNullable<EndedItem["graph"]>): unknown {
  return {
    nodes: names.map((label, at) => ({
      id: `n${at}`,
      label,
      type: "PERSON",
      confidence: 0.5,
      mention_count: 1,
    })),
    edges: met.map(([from, to], at) => ({
      id: `r${at}`,
      source: `n${from}`,
      target: `n${to}`,
      predicate: "met",
      confidence: 0.5,
    })),
  };
}
