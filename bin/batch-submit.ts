/**
 * `clipscribe batch submit`: says what it would cost, hands over, and says whether the lid may be
 * closed. The same arguments are the same job, whatever became of the process before.
 */
import { join } from "node:path";

import { openDropLedger } from "../adapters/ledger/drop-ledger.ts";
import { showNotice } from "../adapters/system/desktop-notice.ts";
import { systemClock } from "../adapters/system/system-clock.ts";
import { openDownloader } from "../adapters/yt-dlp/downloader.ts";
import { digestOf } from "../core/digest.ts";
import { DropOptions } from "../core/drop-records.ts";
import { ClipscribeError, fromErrorRecord } from "../core/errors.ts";
import { EXIT, exitCodeOfKind } from "../core/exit-codes.ts";
import { JobId } from "../core/ids.ts";
import type { Lane } from "../core/ids.ts";
import { keysOf } from "../core/keys.ts";
import type { DropLedger, KeptDrop } from "../ports/drop-ledger.ts";
import { politeDownloader } from "../ports/polite-downloader.ts";
import { downloadFolder } from "../sync/apply-kept.ts";
import { newJobId } from "../sync/plan-items.ts";
import { readBatchArguments } from "./batch-arguments.ts";
import type { BatchArguments } from "./batch-arguments.ts";
import { estimateBatch } from "./batch-estimate.ts";
import type { BatchEstimate } from "./batch-estimate.ts";
import { handOffDrop } from "./batch-hand-off.ts";
import { adviseAfterHandOff } from "./batch-lid.ts";
import type { LidEnd } from "./batch-lid.ts";
import { describeEstimate, findOverBudget, openProvidersForEstimate } from "./batch-price.ts";
import { openMachine } from "./compose.ts";
import type { Machine } from "./compose.ts";
import type { Io } from "./io.ts";
import { openPipelinesInForce } from "./pipelines-in-force.ts";
import type { PipelinesInForce } from "./pipelines-in-force.ts";
import { readSettings } from "./settings.ts";
import type { Settings } from "./settings.ts";
import { openBatchView } from "./ui/batch-view.ts";
import type { BatchView } from "./ui/batch-view.ts";
import { openViewOn } from "./ui/open-view.ts";

export interface SubmitOptions {
  /** A cloud must do it. */
  vps: boolean;
  lane: Lane;
  notify: string | null;
  again: boolean;
  /** USD the whole job. */
  budget: number | null;
  keepVideo: boolean;
  pipeline: string | undefined;
  json: boolean;
  plain: boolean;
  quiet: boolean;
  verbose: boolean;
}

export async function batchSubmit(
  args: readonly string[],
  options: SubmitOptions,
  io: Io,
): Promise<number> {
  const settings = await readSettings(io);
  if (options.vps && settings.store.kind === "disk") throw noCloud();
  const { view, log, signal, close } = await openViewOn(options, io, openBatchView);
  try {
    await using machine = await openMachine(io, settings, log);
    view.busy("reading the pipeline");
    using ledger = openDropLedger(join(settings.home, "ledger.db"));
    const { store, isShared } = machine;
    const source = { io, settings, store, isShared, named: options.pipeline };
    using pipelines = await openPipelinesInForce(source, ledger.listPipelines(), {
      onChange: () => undefined,
      onRefused: (error) =>
        view.note(`another pipeline was pushed and is refused: ${error.message}`),
    });
    const read = readBatchArguments(args, io.cwd, pipelines.current().accept);
    for (const remark of read.remarks) view.note(remark);
    const work = { io, settings, machine, pipelines, ledger, view, options, signal };
    return await submit(work, read);
  } catch (error) {
    view.stop();
    if (!signal.aborted) throw error;
    return reportInterrupted(options, io);
  } finally {
    close();
  }
}

interface Work {
  io: Io;
  settings: Settings;
  machine: Machine;
  pipelines: PipelinesInForce;
  ledger: DropLedger;
  view: BatchView;
  options: SubmitOptions;
  signal: AbortSignal;
}

async function submit(work: Work, read: BatchArguments): Promise<number> {
  const { settings, machine, pipelines, ledger, view, options, io, signal } = work;
  const pipeline = pipelines.current();
  const name = submissionName(settings, read);
  const before = findBefore(ledger, name);
  const isOver = before?.drop.phase === "done" || before?.drop.phase === "rejected";
  // Cut off before its end: it goes on, whatever is asked for.
  const isNew =
    before === undefined || (isOver && (options.again || before.drop.phase === "rejected"));
  let estimate: BatchEstimate | null = null;
  if (isNew) {
    await assertReachable(machine, settings);
    estimate = await estimateFor(work, read);
    const over = findOverBudget(estimate, options.budget, pipeline.budget);
    // With a budget for the job, an item may take all of it.
    const limit = options.budget === null ? pipeline.budget.itemUsd : null;
    if (!options.quiet) {
      for (const line of describeEstimate(estimate, settings, limit)) view.note(line);
    }
    if (over !== null) return reportOverBudget(work, estimate, over);
  }
  const id = isNew ? spool(work, read, name) : before.id;
  const kept = ledger.get(id);
  const job = kept?.drop.job ?? "";
  if (!isNew && isOver) view.note(`handed over before: job ${job}; \`--again\` makes a new one`);
  else view.note(`${isNew ? "" : "goes on: "}job ${job}`);
  const done =
    isOver && !isNew
      ? before
      : await handOffDrop({ io, settings, machine, ledger, view, signal, pipelines }, id);
  view.stop();
  const lid = await adviseAfterHandOff({
    settings,
    store: machine.store,
    isShared: machine.isShared,
    ledger,
    accept: pipeline.accept,
    minutes: estimate?.minutes ?? null,
    signal,
  });
  return reportEnd(work, done, { lid, estimate });
}

/** What was spooled for the same arguments, if anything was. */
function findBefore(ledger: DropLedger, name: string): KeptDrop | undefined {
  const job = JobId.safeParse(ledger.readFact(name)).data;
  return job === undefined ? undefined : ledger.findJob(job);
}

/** In another store, or for another user, the same files are another job. */
function submissionName({ user, store }: Settings, { fingerprint }: BatchArguments): string {
  const where = store.kind === "disk" ? store.path : store.bucket;
  return `submit ${digestOf([fingerprint, user, store.kind, where])}`;
}

/** The job's id is noted first: who dies in between spools the same job the next time. */
function spool({ ledger, options }: Work, read: BatchArguments, name: string): number {
  const at = systemClock.now();
  const noted = JobId.safeParse(ledger.readFact(name)).data;
  const isFree = noted !== undefined && !ledger.hasJob(noted);
  const job = isFree ? noted : newJobId(read.name, at, Math.random, (each) => ledger.hasJob(each));
  ledger.writeFact(name, job);
  const { sources, urls, kind } = read;
  const { lane, again, keepVideo, notify, budget } = options;
  const wanted = { lane, again, keep_video: keepVideo, notify, job_budget: budget };
  const submission = { job, name: read.name, kind, sources, urls };
  return ledger.spool({ ...submission, options: DropOptions.parse(wanted) }, at);
}

async function estimateFor(
  { io, settings, machine, pipelines, view, signal }: Work,
  read: BatchArguments,
): Promise<BatchEstimate> {
  const folders = { downloads: join(settings.home, "downloads") };
  return estimateBatch({
    media: read.media,
    links: read.links,
    pipeline: pipelines.current(),
    providers: openProvidersForEstimate(settings),
    tools: machine.tools,
    downloader: politeDownloader(openDownloader({ io, settings }), systemClock),
    folderOf: (url) => downloadFolder({ folders }, url),
    onLook: (done, of) => view.busy(`looking at what it is: ${done} of ${of}`),
    signal,
  });
}

/** Before a person waits for downloads: the bucket is there, and lets us in. */
async function assertReachable({ store, isShared }: Machine, { user }: Settings): Promise<void> {
  if (isShared) await store.head(keysOf(user).metadata(JobId.parse("none")));
}

function reportOverBudget(
  { options, io, view }: Work,
  estimate: BatchEstimate,
  why: string,
): number {
  view.stop();
  const error = new ClipscribeError("budget", why, {
    hint: "submit a part of it, or allow more: --budget USD; nothing was begun",
  });
  if (!options.json) throw error;
  const record = { kind: error.kind, message: error.message, hint: error.hint ?? null, cause: [] };
  io.stdout(
    `${JSON.stringify({ schema: 1, job_id: null, status: "held", estimate: toRecord(estimate), items: [], error: record })}\n`,
  );
  return EXIT.held;
}

function reportEnd(
  { options, io, view }: Work,
  { drop, items }: KeptDrop,
  { lid, estimate }: { lid: LidEnd; estimate: BatchEstimate | null },
): number {
  view.stop();
  // Also what has a ticket and failed all the same: its file could not be made ready here.
  const failed = items.filter(({ error }) => error !== null).length;
  const handedOff = items.length - failed;
  const isLost = drop.phase === "rejected" || handedOff === 0;
  const code = isLost ? codeOfRejected(drop, items) : failed > 0 ? EXIT.partial : EXIT.complete;
  const status = isLost ? "failed" : failed > 0 ? "partial" : "handed-off";
  if (options.json) {
    const rows = items.map(({ item, name, error }) => ({
      item_id: item,
      name,
      status: error === null ? "handed-off" : "failed",
      error,
    }));
    const record = { schema: 1, job_id: drop.job, status, lid: lid.lid, text: lid.text };
    io.stdout(`${JSON.stringify({ ...record, estimate: toRecord(estimate), items: rows })}\n`);
    return code;
  }
  if (options.quiet) {
    io.stdout(`${drop.job ?? ""}\n`);
    return code;
  }
  const also = failed === 0 ? "" : `, ${failed} failed`;
  io.stdout(`${handedOff} handed off${also}\n`);
  if (isLost) return code;
  io.stdout(`${paint(io, lid)}\n  clipscribe batch status ${drop.job ?? ""}\n`);
  if (io.columns !== null) void showNotice(io, "ClipScribe", `${drop.name}: ${lid.text}`);
  return code;
}

/** Why nothing of it could be handed off; a bad list is refused, a network trouble is not. */
function codeOfRejected(drop: KeptDrop["drop"], items: KeptDrop["items"]): number {
  const error = drop.error ?? items.find((item) => item.error !== null)?.error;
  if (error == null) return EXIT.refused;
  const { kind } = fromErrorRecord(error);
  return items.length > 1 ? EXIT.failed : exitCodeOfKind(kind);
}

function paint({ columns, env }: Io, { lid, text }: LidEnd): string {
  const isPlain = columns === null || Boolean(env["NO_COLOR"]) || env["TERM"] === "dumb";
  return isPlain ? text : `\u001b[1;${lid === "safe" ? 32 : 33}m${text}\u001b[0m`;
}

function toRecord(estimate: BatchEstimate | null): object | null {
  if (estimate === null) return null;
  const { items, mediaSeconds, costUsd, minutes } = estimate;
  return { items, media_seconds: mediaSeconds, cost_usd: costUsd, minutes };
}

function reportInterrupted({ json }: SubmitOptions, io: Io): number {
  if (json) {
    const record = { schema: 1, job_id: null, status: "cancelled", items: [] };
    io.stdout(`${JSON.stringify(record)}\n`);
  } else io.stdout("stopped; run the same command again and it goes on from here\n");
  return EXIT.interrupted;
}

function noCloud(): ClipscribeError {
  return new ClipscribeError("config", "there is no cloud to hand this over to", {
    hint: "set it up with one command: clipscribe init --cloud",
  });
}
