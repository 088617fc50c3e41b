/** `clipscribe batch status JOB [--watch]`: how a job stands, and what needs a person. */
import { ClipscribeError } from "../core/errors.ts";
import { EXIT, exitCodeOfStatuses } from "../core/exit-codes.ts";
import type { JobId } from "../core/ids.ts";
import { formatUsd } from "../core/money.ts";
import { readJob } from "../sync/job-report.ts";
import type { JobItem, JobReport } from "../sync/job-report.ts";
import { countByStatus, describeJob } from "./batch-list.ts";
import { openBatchOffice, readJobName } from "./batch-office.ts";
import type { BatchOffice } from "./batch-office.ts";
import type { Io } from "./io.ts";
import { openDraw } from "./ui/open-view.ts";
import { wrapText } from "./ui/wrap-text.ts";

/** The first looks come soon, the later ones spare the bucket's bill. */
const LOOKS_MS = { first: 1_000, last: 10_000, factor: 1.5 };
/** Items that are done are counted where there are more. */
const MAX_ROWS = 30;

export interface StatusOptions {
  watch: boolean;
  json: boolean;
  plain: boolean;
}

export async function batchStatus(
  names: readonly (string | undefined)[],
  options: StatusOptions,
  io: Io,
): Promise<number> {
  await using office = await openBatchOffice(io, options);
  const job = await readJobName(office, names);
  if (options.watch) return await watchJob(office, job, options, io);
  const report = await look(office, job);
  print(report, options, io);
  return exitCodeOf(report);
}

async function look({ store, settings }: BatchOffice, job: JobId): Promise<JobReport> {
  const report = await readJob(store, settings.user, job);
  if (report !== undefined) return report;
  throw new ClipscribeError("missing", "the job is gone", { details: { job } });
}

/** Ends when every item has an outcome or is held, or at Ctrl-C: the job goes on without a watcher. */
async function watchJob(
  office: BatchOffice,
  job: JobId,
  options: StatusOptions,
  io: Io,
): Promise<number> {
  const isTerminal = !options.json && !options.plain && io.columns !== null;
  const draw = isTerminal ? await openDraw() : undefined;
  const stop = Promise.withResolvers<"stopped">();
  const forget = io.onInterrupt(() => stop.resolve("stopped"));
  let shown = "";
  let waitMs = LOOKS_MS.first;
  try {
    for (;;) {
      const report = await look(office, job);
      const text = options.json ? JSON.stringify(toJson(report)) : render(report, io.columns ?? 80);
      const isOver = report.status === "finished";
      waitMs = text === shown ? Math.min(LOOKS_MS.last, waitMs * LOOKS_MS.factor) : LOOKS_MS.first;
      if (draw !== undefined && !isOver) draw.show(text);
      else if (text !== shown || isOver) {
        draw?.done();
        const whole = options.json || isTerminal || isOver || shown === "";
        io.stdout(`${whole ? text : changes(shown, text)}\n`);
      }
      shown = text;
      if (isOver) return exitCodeOf(report);
      if ((await Promise.race([stop.promise, after(waitMs)])) === "stopped") {
        draw?.done();
        if (!options.json) io.stdout("the job goes on; look again with the same command\n");
        return EXIT.interrupted;
      }
    }
  } finally {
    draw?.done();
    forget();
  }
}

async function after(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}

/** Lines that were not there before: a log grows by what is new. */
function changes(before: string, now: string): string {
  const old = new Set(before.split("\n"));
  return now
    .split("\n")
    .filter((line) => !old.has(line))
    .join("\n");
}

function print(report: JobReport, { json }: StatusOptions, io: Io): void {
  io.stdout(`${json ? JSON.stringify(toJson(report)) : render(report, io.columns ?? 80)}\n`);
}

function toJson(report: JobReport): unknown {
  return { schema: 1, ...report, counts: countByStatus(report.items) };
}

/** While it is under way only what a person has to do counts; then the worst item does. */
export function exitCodeOf({ status, items }: JobReport): number {
  const statuses = items.map((item) => item.status);
  if (status === "finished") return exitCodeOfStatuses(statuses);
  return statuses.includes("held") && status === "running" ? EXIT.held : EXIT.complete;
}

/** What needs a person comes first, what is done last. */
const ORDER: readonly JobItem["status"][] = [
  "failed",
  "held",
  "partial",
  "cancelled",
  "processing",
  "uploading",
  "downloading",
  "queued",
  "pending",
  "complete",
];

/** Pure: a page for a terminal of that width. */
export function render(report: JobReport, columns: number): string {
  const { job_id: job, items } = report;
  const rows = items.toSorted((a, b) => ORDER.indexOf(a.status) - ORDER.indexOf(b.status));
  const wide = Math.min(36, Math.max(8, ...rows.map(({ item_id }) => item_id.length)));
  const lines = rows.slice(0, MAX_ROWS).flatMap((item) => renderItem(item, wide, columns));
  if (rows.length > MAX_ROWS) lines.push(`  … and ${rows.length - MAX_ROWS} more`);
  return [`${job}  ${describeJob(report)}`, ...lines, ...advise(report)].join("\n");
}

function renderItem(item: JobItem, wide: number, columns: number): string[] {
  const { item_id: id, status, stage, progress, cost_usd: cost, error } = item;
  const shown = id.length > wide ? `${id.slice(0, wide - 1)}…` : id;
  const isUnderWay = status === "processing";
  const detail = isUnderWay ? `${stage ?? ""} ${Math.round(progress)}%`.trim() : "";
  const money = cost === 0 ? "" : formatUsd(cost);
  const head = `  ${shown.padEnd(wide)}  ${status.padEnd(11)} ${detail}${money}`.trimEnd();
  if (error === null) return [head];
  const room = Math.max(40, columns - 7);
  const said = [error.message, ...(error.hint === null ? [] : [error.hint])];
  return [head, ...said.flatMap((each) => wrapText(each, room)).map((line) => `      ${line}`)];
}

/** The next command, where one is due. */
function advise({ job_id: job, status, items }: JobReport): string[] {
  const has = (wanted: JobItem["status"]): boolean => items.some((item) => item.status === wanted);
  const isForMoney = items.some((item) => item.status === "held" && item.error?.kind === "budget");
  const isOtherwise = items.some((item) => item.status === "held" && item.error?.kind !== "budget");
  const isAgain = items.some((item) => item.status === "failed" && item.has_file);
  const say = (why: string, command: string): string[] => [why, `  clipscribe ${command} ${job}`];
  return [
    ...(isForMoney ? say("held for money; to let it cost that:", "batch approve") : []),
    ...(isOtherwise ? say("held for you; once that is done:", "batch resume") : []),
    ...(isAgain ? say("failed; a new run of each:", "replay") : []),
    ...(status === "finished" && has("complete") ? say("the results:", "batch fetch") : []),
  ];
}
