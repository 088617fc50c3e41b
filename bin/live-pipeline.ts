/**
 * The pipeline as it is saved, while a process runs: a good one holds for the next item, a broken
 * one is shown and changes nothing. What an item was taken on with is kept under
 * CLIPSCRIBE_HOME/pipelines for as long as items need it, so that a restart goes on with it too.
 */
import { mkdirSync, readFileSync, readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";

import { asClipscribeError } from "../core/errors.ts";
import type { ClipscribeError } from "../core/errors.ts";
import type { Sha256 } from "../core/ids.ts";
import { describePipelineChange } from "../core/pipeline-diff.ts";
import type { CheckedPipeline } from "../core/pipeline.ts";
import { PipelineIndex } from "../core/pushed-pipeline.ts";
import type { Pipelines } from "../ports/pipelines.ts";
import { buildPipeline, bundlesIn, loadPipeline, stampOf } from "./load-pipeline.ts";
import type { FileStamp, LoadedPipeline } from "./load-pipeline.ts";
import { writeWhole } from "./write-whole.ts";

/** A `stat` of each file: an editor's rename, a checkout and a network mount all show by it. */
const LOOK_MS = 400;
/** A broken one is tried again without a change: the file that it misses may come. */
const RETRY_MS = 2_000;
/** Before that, another process may be about to write it, or to take on the first item that needs it. */
const MIN_FORGOTTEN_AGE_MS = 24 * 60 * 60 * 1000;

export interface LivePipeline extends Pipelines, Disposable {
  readonly file: string;
}

export interface LivePipelineListener {
  onChange(pipeline: CheckedPipeline, changes: readonly string[]): void;
  /** Thrown as `config`; the one before stays in force. Said once a reason. */
  onRefused(error: ClipscribeError): void;
}

/**
 * `needed`: digests of what items of earlier processes were taken on with.
 * @throws what `loadPipeline` throws: there is no last good one yet.
 */
export async function openLivePipeline(
  file: string,
  home: string,
  needed: ReadonlySet<Sha256>,
  listener: LivePipelineListener,
): Promise<LivePipeline> {
  let loaded = await loadPipeline(file, home);
  const known = await recallNeeded(home, needed);
  remember(loaded);
  let stamps: FileStamp[] = loaded.stamps;
  let isLooking = false;
  let refusal: { message: string; atMs: number } | null = null;

  function remember(next: LoadedPipeline): void {
    known.set(next.pipeline.digest, next.pipeline);
    keep(home, next.index);
  }

  async function look(): Promise<void> {
    const isDue = refusal !== null && performance.now() - refusal.atMs >= RETRY_MS;
    if (isLooking || (!isDue && stamps.every(isAsBefore))) return;
    isLooking = true;
    // Taken before it is read: what is saved meanwhile is seen by the next look.
    stamps = stamps.map(([path]) => stampOf(path));
    try {
      take(await loadPipeline(file, home));
    } catch (thrown) {
      refuse(asClipscribeError(thrown));
    } finally {
      isLooking = false;
    }
  }

  function take(next: LoadedPipeline): void {
    const before = loaded;
    loaded = next;
    refusal = null;
    const added = next.stamps.filter(([path]) => !stamps.some(([other]) => other === path));
    stamps = [...stamps.filter(([path]) => next.stamps.some(([used]) => used === path)), ...added];
    if (next.pipeline.digest === before.pipeline.digest) return;
    remember(next);
    listener.onChange(next.pipeline, describePipelineChange(before.pipeline, next.pipeline));
  }

  function refuse(error: ClipscribeError): void {
    const { report = error.message } = error as { report?: string };
    if (refusal?.message !== report) listener.onRefused(error);
    refusal = { message: report, atMs: performance.now() };
  }

  const timer = setInterval(() => void look(), LOOK_MS);
  return {
    file,
    current: () => loaded.pipeline,
    find: async (digest) => known.get(digest),
    [Symbol.dispose]: () => clearInterval(timer),
  };
}

function isAsBefore([path, size, mtimeMs, ino]: FileStamp): boolean {
  const [, nowSize, nowMtimeMs, nowIno] = stampOf(path);
  return nowSize === size && nowMtimeMs === mtimeMs && nowIno === ino;
}

const folderOf = (home: string): string => join(home, "pipelines");

function keep(home: string, index: PipelineIndex): void {
  mkdirSync(folderOf(home), { recursive: true });
  const path = join(folderOf(home), `${index.digest}.json`);
  writeWhole(path, `${JSON.stringify(index, null, 1)}\n`);
}

/** Those that nobody needs any more are forgotten. */
async function recallNeeded(
  home: string,
  needed: ReadonlySet<Sha256>,
): Promise<Map<Sha256, CheckedPipeline>> {
  const known = new Map<Sha256, CheckedPipeline>();
  let names: string[] = [];
  try {
    names = readdirSync(folderOf(home));
  } catch {
    // The first start.
  }
  for (const name of names) {
    const path = join(folderOf(home), name);
    const digest = name.replace(/\.json$/, "") as Sha256;
    if (!needed.has(digest)) {
      forgetIfOld(path);
      continue;
    }
    try {
      const index = PipelineIndex.parse(JSON.parse(readFileSync(path, "utf8")));
      if (index.digest === digest) known.set(digest, await buildPipeline(index, bundlesIn(home)));
    } catch {
      // Its bundles are gone: its items wait for `replay`, which makes a run by the one in force.
    }
  }
  return known;
}

function forgetIfOld(path: string): void {
  const writtenMs = statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Infinity;
  if (Date.now() - writtenMs > MIN_FORGOTTEN_AGE_MS) rmSync(path, { force: true });
}
