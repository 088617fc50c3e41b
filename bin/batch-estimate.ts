/**
 * What a batch would cost and how long it would take, before anything is begun: the length of each
 * file by ffprobe, of each link by a look at its page; of many, some are looked at for all.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { isKind } from "../core/errors.ts";
import type { CheckedPipeline } from "../core/pipeline.ts";
import type { Downloader } from "../ports/downloader.ts";
import type { MediaTools } from "../ports/media-tools.ts";
import { estimateStage } from "../runner/estimate-stage.ts";
import type { Providers } from "../runner/world.ts";

/** So many are looked at; the others are taken to be like them. */
const MAX_LOOKS = 50;
const MAX_PROBES = 500;
const LOOKS_AT_ONCE = 4;
/** Reading a header takes no longer. */
const PROBE_MS = 20_000;
/** Servers are not counted here: one with two cores does the work. */
const CORES = 2;

export interface BatchEstimate {
  items: number;
  /** Of all items; null where nothing is known of any. */
  mediaSeconds: number | null;
  costUsd: number | null;
  /** The dearest item's. */
  itemUsd: number | null;
  minutes: number | null;
  /** Items that were looked at and told their length. */
  known: number;
  /** Links with nothing behind them: no items. */
  dead: number;
}

export interface EstimateWork {
  media: readonly string[];
  links: readonly string[];
  pipeline: CheckedPipeline;
  providers: Providers;
  tools: MediaTools;
  downloader: Downloader;
  /** Where a look is kept for the download. */
  folderOf: (url: string) => string;
  onLook: (done: number, of: number) => void;
  signal: AbortSignal;
}

export async function estimateBatch(work: EstimateWork): Promise<BatchEstimate> {
  const { media, links, signal, onLook } = work;
  const probes = media.slice(0, MAX_PROBES).map((path) => async () => probe(work, path));
  const looks = links.slice(0, MAX_LOOKS).map((url) => async () => look(work, url));
  const lengths: number[] = [];
  let done = 0;
  let dead = 0;
  let items = media.length + links.length;
  const queue = [...probes, ...looks].values();
  const worker = async (): Promise<void> => {
    for (const ask of queue) {
      const found = await ask();
      signal.throwIfAborted();
      lengths.push(...found.seconds);
      // A playlist is as many items as it has videos; what is no video is none.
      items += found.items - 1;
      if (found.items === 0) dead++;
      onLook(++done, probes.length + looks.length);
    }
  };
  await Promise.all(Array.from({ length: LOOKS_AT_ONCE }, worker));
  return { ...summarize(work, items, lengths), dead };
}

interface Found {
  items: number;
  seconds: number[];
}

/** Pure, and exported for its test. */
export function summarize(
  { pipeline, providers }: Pick<EstimateWork, "pipeline" | "providers">,
  items: number,
  lengths: readonly number[],
): Omit<BatchEstimate, "dead"> {
  const unknown = { items, mediaSeconds: null, costUsd: null, itemUsd: null, minutes: null };
  if (lengths.length === 0) return { ...unknown, known: 0 };
  const factor = items / lengths.length;
  let costUsd = 0;
  let itemUsd = 0;
  /** Seconds of work a pool, and of the longest item. */
  const pools = new Map<string, number>();
  let longest = 0;
  for (const mediaSeconds of lengths) {
    let cost = 0;
    let seconds = 0;
    for (const stage of pipeline.stages) {
      const known = estimateStage(providers, stage, { mediaSeconds, spoken: null });
      cost += known?.costUsd ?? 0;
      seconds += known?.seconds ?? 0;
      pools.set(stage.pool, (pools.get(stage.pool) ?? 0) + (known?.seconds ?? 0) * factor);
    }
    costUsd += cost * factor;
    itemUsd = Math.max(itemUsd, cost);
    longest = Math.max(longest, seconds);
  }
  const waits = [...pools].map(([pool, seconds]) => seconds / sizeOf(pipeline, pool));
  const minutes = Math.max(longest, ...waits) / 60;
  const mediaSeconds = lengths.reduce((sum, each) => sum + each, 0) * factor;
  return { items, mediaSeconds, costUsd, itemUsd, minutes, known: lengths.length };
}

function sizeOf({ pools }: CheckedPipeline, pool: string): number {
  const size = pools[pool] ?? "cores";
  return size === "cores" ? CORES : size;
}

/** What can't be told now is told by the run. */
async function look({ downloader, folderOf, signal }: EstimateWork, url: string): Promise<Found> {
  try {
    const found = await downloader.look(url, folderOf(url), { signal });
    const videos = found.kind === "video" ? [found] : found.videos;
    const seconds = videos.flatMap(({ durationSeconds }) => durationSeconds ?? []);
    return { items: videos.length, seconds };
  } catch (error) {
    // Without a yt-dlp that may go out, no link can be fetched.
    if (isKind(error, "config")) throw error;
    const isDead = isKind(error, "contract", "denied");
    return { items: isDead ? 0 : 1, seconds: [] };
  }
}

async function probe({ tools, signal }: EstimateWork, path: string): Promise<Found> {
  const scratch = mkdtempSync(join(tmpdir(), "clipscribe-estimate-"));
  const show = ["-show_entries", "format=duration", "-of", "csv=p=0"];
  try {
    const { stdout } = await tools.run({
      tool: "ffprobe",
      args: ["-v", "error", ...show, "-i", path],
      readable: [path],
      writableDir: scratch,
      timeoutMs: PROBE_MS,
      maxStdoutBytes: 1_000,
      signal,
    });
    const seconds = Number.parseFloat(stdout);
    return { items: 1, seconds: Number.isFinite(seconds) ? [seconds] : [] };
  } catch {
    return { items: 1, seconds: [] };
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}
