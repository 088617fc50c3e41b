/** `clipscribe run PATH…`: from files, folders or lists of URLs to results, in one process. */
import { hostname } from "node:os";
import { join } from "node:path";

import { openDownloader } from "../adapters/yt-dlp/downloader.ts";
import { ClipscribeError, asClipscribeError } from "../core/errors.ts";
import type { ErrorRecord } from "../core/errors.ts";
import type { ItemId, JobId } from "../core/ids.ts";
import { keysOf } from "../core/keys.ts";
import { readNotify } from "../core/recipients.ts";
import type { Notify } from "../core/recipients.ts";
import type { ItemState, Ticket } from "../core/records.ts";
import { safeLine } from "../core/safe-text.ts";
import type { RunnerEvent } from "../runner/runner-events.ts";
import { fetchJobFiles } from "../sync/fetch-job-files.ts";
import { sweepIncoming } from "../sync/results-folder.ts";
import { assignItemIds, jobIdForMany } from "../sync/plan-items.ts";
import { stampFile, writeSnapshot } from "../sync/snapshot.ts";
import { readItemIds } from "../sync/submit-job.ts";
import { awaitItems } from "./await-items.ts";
import { hashAsUploaded } from "./hash-as-uploaded.ts";
import { LANE, collectDrops } from "./collect-drops.ts";
import type { Collected, Drop } from "./collect-drops.ts";
import { openMachine } from "./compose.ts";
import type { ComposeOverrides, Machine } from "./compose.ts";
import { readVersion } from "./install.ts";
import type { Io } from "./io.ts";
import { isGone } from "./is-gone.ts";
import { collectResult } from "./item-results.ts";
import type { ItemResult } from "./item-results.ts";
import { handOver } from "./hand-over.ts";
import { loadPipelineInForce } from "./pipelines-in-force.ts";
import type { PipelineOfCommand } from "./pipelines-in-force.ts";
import { reportEnd, reportInterrupted } from "./report-run.ts";
import { openResultsFetcher } from "./results-fetcher.ts";
import { readSettings } from "./settings.ts";
import type { Settings } from "./settings.ts";
import { openView } from "./ui/open-view.ts";
import type { ViewOptions } from "./ui/open-view.ts";
import type { RunView } from "./ui/run-view.ts";

export interface RunOptions extends ViewOptions {
  pipeline?: string | undefined;
  again: boolean;
  /** USD an item, instead of the pipeline's; null: what was said before, or the pipeline's. */
  budget: number | null;
  /** Whom to tell when it is finished: mail and web addresses. */
  notify?: readonly string[] | undefined;
  /** The original goes into the bucket as well. */
  keepVideo?: boolean;
}

export async function run(
  args: readonly string[],
  options: RunOptions,
  io: Io,
  overrides: ComposeOverrides = {},
): Promise<number> {
  const settings = await readSettings(io);
  const told = options.notify === undefined ? undefined : readNotify(options.notify);
  let itemCount = 1;
  const { view, log, signal, close } = await openView(options, io, () => itemCount);
  await using machine = await openMachine(io, settings, log, overrides);
  try {
    view.busy("reading the pipeline");
    const { store, isShared } = machine;
    const source = { io, settings, store, isShared, named: options.pipeline };
    const loaded = await loadPipelineInForce(source);
    const collected = await collectDrops(args, io.cwd, {
      accept: loaded.pipeline.accept,
      ledger: machine.ledger,
      downloader: openDownloader({ io, settings }),
      downloadsDir: join(settings.home, "downloads"),
      hashLarge: hashAsUploaded(machine, loaded.pipeline, {
        keepVideo: options.keepVideo ?? false,
      }),
      signal,
      busy: (text) => view.busy(text),
    });
    itemCount = collected.drops.length;
    for (const note of collected.notes) view.note(note);
    for (const { name, error } of collected.refused) {
      view.note(`refused ${safeLine(name, 120)}: ${error.message}`);
    }
    const job = {
      machine,
      loaded,
      collected,
      settings,
      view,
      signal,
      again: options.again,
      budget: options.budget,
      notify: told,
      keepVideo: options.keepVideo ?? false,
    };
    const { id, results } = await runJob(job);
    view.stop();
    if (signal.aborted) return reportInterrupted(options, io, id, results);
    return reportEnd(
      options,
      io,
      { job: id, resultsDir: settings.results },
      collected.refused,
      results,
    );
  } catch (error) {
    view.stop();
    if (signal.aborted) return reportInterrupted(options, io, null, []);
    throw error;
  } finally {
    close();
  }
}

interface Job {
  machine: Machine;
  loaded: PipelineOfCommand;
  collected: Collected;
  settings: Settings;
  view: RunView;
  signal: AbortSignal;
  again: boolean;
  budget: number | null;
  notify: Notify | undefined;
  keepVideo: boolean;
}

async function runJob(job: Job): Promise<{ id: string; results: Map<string, ItemResult> }> {
  const { machine, loaded, collected, settings, view, signal } = job;
  const { user } = settings;
  const id = jobIdForMany(collected.parts);
  const results = new Map<string, ItemResult>();
  if (collected.drops.length === 0) return { id, results };
  const ids = assignItemIds(collected.drops, await readItemIds(machine.store, user, id));
  const drops = new Map<string, Drop>();
  const items = collected.drops.map((drop) => {
    const item = ids.get(drop.name);
    if (item === undefined) throw new ClipscribeError("bug", "an item has no id");
    drops.set(item, drop);
    return { id: item, source: drop.source, info: drop.info, sidecars: drop.sidecars };
  });
  const { name, digest } = loaded.pipeline;
  const submission = {
    job: id,
    user,
    lane: LANE,
    pipeline: { name, digest },
    device: hostname(),
    items,
    again: job.again,
    budgetUsd: job.budget,
    notify: job.notify,
    // Said once, it holds for what is sent again.
    ...(job.keepVideo && { keepVideo: true }),
  };
  const handing = {
    machine,
    pipeline: loaded.pipeline,
    listener: (event: RunnerEvent): void => view.event(event),
    pathOf: ({ item_id }: Ticket) => drops.get(item_id)?.path,
    keepVideo: job.keepVideo,
    busy: (text: string): void => view.busy(text),
    signal,
  };
  await using fetcher = openResultsFetcher(machine, settings, items.length);
  let handoffs = await handOver(handing, submission);
  await sweepIncoming(settings.results, isGone);

  const onEnd = async (item: string, end: ItemState | ErrorRecord): Promise<void> => {
    const note = (text: string): void => view.note(text);
    results.set(item, await collectResult({ fetcher, note }, item, end));
  };
  const done = handoffs.filter((handoff) => handoff.action === "done");
  const lost = new Set<ItemId>();
  for (const { item, state } of done) {
    await onEnd(item, state);
    const result = results.get(item);
    if (result?.error?.kind === "missing" || result?.error?.kind === "contract") lost.add(item);
    else if (result !== undefined) markReused(result);
    if (result !== undefined && handoffs.length === 1 && lost.size === 0) {
      announceReuse(view, id, result);
    }
  }
  if (lost.size > 0) {
    view.note(`published files are gone from the store or damaged; making ${lost.size} items anew`);
    handoffs = await handOver(handing, { ...submission, again: lost });
  }
  const tickets = handoffs.flatMap((handoff) =>
    handoff.action === "done" ? [] : [handoff.ticket],
  );
  if (done.length > 0 && handoffs.length > 1)
    view.note(`${done.length} of ${handoffs.length} are done already`);
  await awaitItems({
    machine,
    pipeline: loaded.pipeline,
    user,
    sweepPrefix: `${keysOf(user).inbox(LANE)}${id}/`,
    tickets,
    onEvent: (event) => view.event(event),
    onEnd,
    signal,
  });
  if (items.length > 1 && !signal.aborted) await fetchOwnFiles(job, id);
  if (!signal.aborted) takeSnapshot(job, id, ids, results);
  return { id, results };
}

/** What the job yields as a whole; another process may still be at it, and brings it. */
async function fetchOwnFiles({ machine, settings, view }: Job, job: JobId): Promise<void> {
  try {
    const { user, results } = settings;
    const fetched = await fetchJobFiles(machine.store, user, job, results);
    for (const path of fetched?.keptAs ?? []) view.note(`you had changed it: kept as ${path}`);
  } catch (error) {
    view.note(`the job's digest could not be brought: ${asClipscribeError(error).message}`);
  }
}

function markReused(result: ItemResult): void {
  result.stages = result.stages.map((stage) => ({
    ...stage,
    state: "reused",
    why: "nothing changed",
  }));
}

function announceReuse(view: RunView, job: string, result: ItemResult): void {
  for (const { id } of result.stages) {
    view.event({
      type: "stage-ended",
      job_id: job,
      item_id: result.item_id,
      run: 1,
      stage: id,
      state: "reused",
      why: "nothing changed",
      by: null,
      seconds: 0,
      cost_usd: 0,
      error: null,
    });
  }
}

function takeSnapshot(
  { loaded, collected, settings }: Job,
  job: string,
  ids: ReadonlyMap<string, string>,
  results: ReadonlyMap<string, ItemResult>,
): void {
  const { named } = collected;
  if (loaded.isPushed) return;
  const all = [...results.values()].every(
    ({ status, path }) => status === "complete" && path !== null,
  );
  if (named === null || !all || collected.refused.length > 0) return;
  const resultsDir = join(settings.results, job);
  const items = collected.drops.map(({ name, path, sidecars }) => {
    const item = ids.get(name) ?? "";
    const [, size, mtimeMs] = stampFile(join(resultsDir, item, "manifest.json"));
    const manifest: [number, number] = [size, mtimeMs];
    return { item, stamps: [path, ...sidecars].map(stampFile), manifest };
  });
  const snapshot = {
    asked: { named, pipeline: loaded.file, results: settings.results },
    job,
    version: readVersion(),
    accept: loaded.pipeline.accept,
    pipeline: loaded.stamps.map(([file]) => stampFile(file)),
    stages: loaded.pipeline.stages.map(({ id }) => id),
    resultsDir,
    items,
  };
  writeSnapshot(settings.home, snapshot, Date.now());
}
