/** One claim's work on an item: what its stages share. */
import { rmSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";

import type { RunnerId } from "../core/ids.ts";
import type { UserKeys } from "../core/keys.ts";
import type { CheckedPipeline } from "../core/pipeline.ts";
import type { CachedArtifact, StageCacheEntry, StageRecord, Ticket } from "../core/records.ts";
import type { InputFile } from "../core/stage.ts";
import type { LocatedSource } from "../ports/sources.ts";
import type { ArtifactShelf } from "./artifact-shelf.ts";
import type { ItemLog } from "./item-log.ts";
import type { ItemMoney } from "./item-money.ts";
import type { LookAhead } from "./look-ahead.ts";
import type { OpenCalls } from "./open-calls.ts";
import type { Pools } from "./pools.ts";
import type { StageCache } from "./stage-cache.ts";
import type { RunnerWorld } from "./world.ts";

export interface ItemRun {
  readonly world: RunnerWorld;
  readonly keys: UserKeys;
  readonly ticket: Ticket;
  readonly pipeline: CheckedPipeline;
  readonly pools: Pools;
  readonly shelf: ArtifactShelf;
  readonly cache: StageCache;
  readonly log: ItemLog;
  readonly money: ItemMoney;
  /** Aborts with the reason why the work ends early. */
  readonly signal: AbortSignal;
  readonly isAlive: (runner: RunnerId) => Promise<boolean>;
  /** @throws when this runner may have been taken for dead. */
  readonly assertAlive: () => void;
  readonly calls: OpenCalls;
  /** What earlier runs or attempts recorded of each stage. */
  readonly before: Readonly<Record<string, StageRecord>>;
  /** Tells the item's record of a change; `ended` when a stage ran to its end. */
  readonly onStage: (id: string, record: StageRecord, ended: boolean) => void;
  readonly files: WorkFiles;
  readonly ahead: LookAhead;
  /** True once the job was paused: the stages under way end, no other starts. */
  readonly isPaused: () => boolean;
  /** Reads what people want of the job. @throws what ends the work when it is paused or cancelled. */
  readonly checkControl: () => Promise<void>;
}

/** A stage that is over: its artifacts and what is known of how they were made. */
export interface FinishedStage {
  id: string;
  record: StageRecord;
  /** Null where the stage is missing (optional and failed, or its inputs are missing). */
  entry: StageCacheEntry | null;
  ingredients: Record<string, string>;
  /** What a stage that ran said its outputs lack; none where it was reused. */
  lacks?: readonly string[];
}

/**
 * Local copies for the stages of one item, under a folder that goes when the run ends. A file is
 * brought there once, however many stages read it.
 */
export interface WorkFiles {
  readonly dir: string;
  scratchDir(stage: string): string;
  /** The local file of an artifact, brought there if need be. */
  artifact(artifact: CachedArtifact, name: string, signal: AbortSignal): Promise<InputFile>;
  /** Notes that a stage has just made this file, so that it need not be fetched. */
  made(artifact: CachedArtifact, path: string): void;
  source(signal: AbortSignal): Promise<LocatedSource>;
  [Symbol.dispose](): void;
}

export function openWorkFiles(
  world: RunnerWorld,
  ticket: Ticket,
  shelf: ArtifactShelf,
  epoch: number,
  found?: LocatedSource,
): WorkFiles {
  const dir = join(
    world.workDir,
    world.runner,
    `${ticket.job_id}.${ticket.item_id}.${ticket.run}.${epoch}`,
  );
  const local = new Map<string, Promise<string>>();
  let source = found && Promise.resolve(found);
  let used = false;

  async function bring(artifact: CachedArtifact, signal: AbortSignal): Promise<string> {
    used = true;
    const path = join(dir, "artifacts", artifact.sha256);
    await mkdir(join(dir, "artifacts"), { recursive: true });
    await shelf.copyTo(artifact, path, signal);
    return path;
  }

  return {
    dir,
    scratchDir(stage) {
      used = true;
      return join(dir, stage);
    },
    async artifact(artifact, name, signal) {
      let path = local.get(artifact.sha256);
      if (path === undefined) {
        path = bring(artifact, signal);
        local.set(artifact.sha256, path);
        path.catch(() => local.delete(artifact.sha256));
      }
      return {
        path: await path,
        sha256: artifact.sha256,
        sizeBytes: artifact.size,
        mediaType: artifact.media_type,
        name,
      };
    },
    made(artifact, path) {
      local.set(artifact.sha256, Promise.resolve(path));
    },
    source(signal) {
      source ??= world.sources.locate(ticket.source, signal);
      source.catch(() => (source = undefined));
      return source;
    },
    [Symbol.dispose]() {
      // A few files, mostly: done sooner than handed over.
      if (used) rmSync(dir, { recursive: true, force: true });
    },
  };
}
