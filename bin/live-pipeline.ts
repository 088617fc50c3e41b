/**
 * The pipeline as it is saved, while a process runs: a good one holds for the next item, a broken
 * one is shown and changes nothing. What an item was taken on with stays here for as long as it runs.
 */
import { asClipscribeError } from "../core/errors.ts";
import type { ClipscribeError } from "../core/errors.ts";
import type { Sha256 } from "../core/ids.ts";
import { describePipelineChange } from "../core/pipeline-diff.ts";
import type { CheckedPipeline } from "../core/pipeline.ts";
import type { Pipelines } from "../runner/world.ts";
import { loadPipeline, stampOf } from "./load-pipeline.ts";
import type { FileStamp, LoadedPipeline } from "./load-pipeline.ts";

/** A `stat` of each file: an editor's rename, a checkout and a network mount all show by it. */
const LOOK_MS = 400;

export interface LivePipeline extends Pipelines, Disposable {
  readonly file: string;
}

export interface LivePipelineListener {
  onChange(pipeline: CheckedPipeline, changes: readonly string[]): void;
  /** Thrown as `config`; the one before stays in force. */
  onRefused(error: ClipscribeError): void;
}

/** @throws what `loadPipeline` throws: there is no last good one yet. */
export async function openLivePipeline(
  file: string,
  home: string,
  listener: LivePipelineListener,
): Promise<LivePipeline> {
  let loaded = await loadPipeline(file, home);
  const known = new Map<Sha256, CheckedPipeline>([[loaded.pipeline.digest, loaded.pipeline]]);
  let stamps: FileStamp[] = loaded.stamps;
  let isLooking = false;

  async function look(): Promise<void> {
    if (isLooking || stamps.every(isAsBefore)) return;
    isLooking = true;
    // Taken before it is read: what is saved meanwhile is seen by the next look.
    stamps = stamps.map(([path]) => stampOf(path));
    try {
      take(await loadPipeline(file, home));
    } catch (error) {
      listener.onRefused(asClipscribeError(error));
    } finally {
      isLooking = false;
    }
  }

  function take(next: LoadedPipeline): void {
    const before = loaded;
    loaded = next;
    const added = next.stamps.filter(([path]) => !stamps.some(([known]) => known === path));
    stamps = [...stamps.filter(([path]) => next.stamps.some(([used]) => used === path)), ...added];
    if (next.pipeline.digest === before.pipeline.digest) return;
    known.set(next.pipeline.digest, next.pipeline);
    const changes = describePipelineChange(before.pipeline, next.pipeline);
    listener.onChange(next.pipeline, changes);
  }

  const timer = setInterval(() => void look(), LOOK_MS);
  return {
    file,
    current: () => loaded.pipeline,
    find: (digest) => known.get(digest),
    [Symbol.dispose]: () => clearInterval(timer),
  };
}

function isAsBefore([path, size, mtimeMs, ino]: FileStamp): boolean {
  const [, nowSize, nowMtimeMs, nowIno] = stampOf(path);
  return nowSize === size && nowMtimeMs === mtimeMs && nowIno === ino;
}
