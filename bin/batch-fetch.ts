/** `clipscribe batch fetch JOB`: what is published of a job, into a folder; on any computer. */
import { resolve } from "node:path";

import { asClipscribeError, isKind, toErrorRecord } from "../core/errors.ts";
import type { ErrorRecord } from "../core/errors.ts";
import { EXIT } from "../core/exit-codes.ts";
import type { JobId } from "../core/ids.ts";
import type { ItemState } from "../core/records.ts";
import { safeLine } from "../core/safe-text.ts";
import { fetchJobFiles } from "../sync/fetch-job-files.ts";
import { fetchResults } from "../sync/fetch-results.ts";
import type { FetchOptions } from "../sync/fetch-results.ts";
import { sweepIncoming } from "../sync/results-folder.ts";
import { readJob, readPublished } from "../sync/job-report.ts";
import { openBatchOffice, readJobName } from "./batch-office.ts";
import type { BatchOffice } from "./batch-office.ts";
import { exitCodeOf } from "./batch-status.ts";
import type { Io } from "./io.ts";
import { isGone } from "./is-gone.ts";

/** Items at once: each has many files of its own. */
const FETCHES_AT_ONCE = 4;

export interface FetchFlags {
  outputDir: string | null;
  json: boolean;
  plain: boolean;
}

interface Fetched {
  item_id: string;
  state: "new" | "unchanged" | "failed";
  path: string | null;
  /** Where a person's changed files are now. */
  kept_as: string | null;
  error: ErrorRecord | null;
}

export async function batchFetch(
  names: readonly (string | undefined)[],
  flags: FetchFlags,
  io: Io,
): Promise<number> {
  await using office = await openBatchOffice(io, flags);
  const { store, settings } = office;
  const job = await readJobName(office, names);
  const folder = flags.outputDir === null ? settings.results : resolve(io.cwd, flags.outputDir);
  const published = await readPublished(store, settings.user, job);
  await sweepIncoming(folder, isGone);
  const stop = new AbortController();
  const forget = io.onInterrupt(() => stop.abort());
  const items: Fetched[] = (published?.refused ?? []).map(({ item_id, error }) =>
    failed(item_id, error),
  );
  if (!flags.json) for (const item of items) io.stdout(describe(item));
  const queue = (published?.states ?? []).values();
  const worker = async (): Promise<void> => {
    for (const state of queue) {
      if (stop.signal.aborted) return;
      const fetched = await fetchOne(office, state, folder, { signal: stop.signal });
      items.push(fetched);
      if (!flags.json) io.stdout(describe(fetched));
    }
  };
  await Promise.all(Array.from({ length: FETCHES_AT_ONCE }, worker));
  const own = await fetchOwnFiles(office, job, folder);
  forget();
  const report = await readJob(store, settings.user, job).catch((error: unknown) => {
    // One record that can't be read is refused above already.
    if (isKind(error, "contract")) return undefined;
    throw error;
  });
  const errors = [...items.map(({ error }) => error), own.error];
  const code = stop.signal.aborted
    ? EXIT.interrupted
    : errors.some((error) => error !== null)
      ? exitCodeOfErrors(errors)
      : report === undefined
        ? EXIT.complete
        : exitCodeOf(report);
  const path = resolve(folder, job);
  const status = report?.status ?? "finished";
  if (flags.json) {
    io.stdout(
      `${JSON.stringify({ schema: 1, job_id: job, status, path, items, files: own.files, error: own.error })}\n`,
    );
    return code;
  }
  const all = report?.items.length ?? items.length;
  const count = (state: Fetched["state"]): number =>
    items.filter((item) => item.state === state).length;
  const rest = all - items.length;
  const missing = rest === 0 ? "" : `, ${rest} of ${all} without results so far`;
  io.stdout(`${count("new")} new, ${count("unchanged")} as they were${missing}\n`);
  if (own.error !== null) {
    io.stdout(`the job's own files: ${safeLine(own.error.message, 300)}\n`);
  }
  if (items.length > 0) io.stdout(`${path}\n`);
  return code;
}

/** What can't be trusted is worse than what can't be reached: trying again does not help. */
function exitCodeOfErrors(errors: readonly (ErrorRecord | null)[]): number {
  const isRefused = errors.some((error) => error?.kind === "contract");
  return isRefused ? EXIT.verification : EXIT.unreachable;
}

/** What the job yields as a whole, where it does. */
async function fetchOwnFiles(
  { store, settings }: BatchOffice,
  job: JobId,
  folder: string,
): Promise<{ files: string[]; error: ErrorRecord | null }> {
  try {
    const fetched = await fetchJobFiles(store, settings.user, job, folder);
    return { files: fetched?.files ?? [], error: null };
  } catch (error) {
    if (asClipscribeError(error).kind === "bug") throw error;
    return { files: [], error: toErrorRecord(error) };
  }
}

async function fetchOne(
  { store, settings }: BatchOffice,
  state: ItemState,
  folder: string,
  options: FetchOptions,
): Promise<Fetched> {
  const { item_id } = state;
  try {
    const fetched = await fetchResults(store, settings.user, state, folder, options);
    return {
      item_id,
      state: fetched.isNew ? "new" : "unchanged",
      path: fetched.folder,
      kept_as: fetched.keptAs,
      error: null,
    };
  } catch (error) {
    // The disk being full is everybody's; a damaged blob is this item's alone.
    if (asClipscribeError(error).kind === "bug") throw error;
    return failed(item_id, error);
  }
}

function failed(item_id: string, error: unknown): Fetched {
  return { item_id, state: "failed", path: null, kept_as: null, error: toErrorRecord(error) };
}

function describe({ item_id, state, kept_as: keptAs, error }: Fetched): string {
  const mine = keptAs === null ? "" : `  ${item_id}: what you had changed is in ${keptAs}\n`;
  if (error === null) return state === "new" ? `  ${item_id}\n${mine}` : mine;
  const hint = error.hint === null ? "" : `\n    ${safeLine(error.hint, 300)}`;
  return `  ${item_id}: ${safeLine(error.message, 300)}${hint}\n`;
}
