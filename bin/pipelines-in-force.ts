/**
 * Which pipeline holds. On one machine: the file, as it is saved. On a bucket: the one that was pushed,
 * looked at once a poll; before the first push, or where one is named, the file. What an item was
 * taken on with is found by its digest, here or in the bucket.
 */
import { asClipscribeError } from "../core/errors.ts";
import type { ClipscribeError } from "../core/errors.ts";
import type { Sha256 } from "../core/ids.ts";
import { describePipelineChange } from "../core/pipeline-diff.ts";
import type { CheckedPipeline } from "../core/pipeline.ts";
import type { Etag, ObjectStore } from "../ports/object-store.ts";
import type { Pipelines } from "../ports/pipelines.ts";
import { readPointer } from "../sync/pipeline-store.ts";
import { findPipelineFile } from "./find-pipeline.ts";
import type { Io } from "./io.ts";
import { openLivePipeline } from "./live-pipeline.ts";
import type { LivePipelineListener } from "./live-pipeline.ts";
import { loadPipeline } from "./load-pipeline.ts";
import type { LoadedPipeline } from "./load-pipeline.ts";
import { openPushedPipelines } from "./pushed-pipelines.ts";
import type { PushedPipelines } from "./pushed-pipelines.ts";
import type { Settings } from "./settings.ts";

export interface PipelineOptions {
  io: Io;
  settings: Settings;
  store: ObjectStore;
  /** Others work on the same store. */
  isShared: boolean;
  /** The file that was asked for by name. */
  named: string | undefined;
}

/** A pipeline for one command. */
export interface PipelineOfCommand extends Pick<LoadedPipeline, "file" | "pipeline" | "stamps"> {
  /** It came from the bucket: no file here says what it is. */
  isPushed: boolean;
}

export async function loadPipelineInForce(options: PipelineOptions): Promise<PipelineOfCommand> {
  const { io, settings, store, isShared, named } = options;
  const found = isShared && named === undefined ? await readPointer(store) : undefined;
  if (found !== undefined) {
    const pipeline = await openPushedPipelines(store, settings).load(found.pointer.digest);
    return { file: "pipelines/current.json", pipeline, stamps: [], isPushed: true };
  }
  const { file, pipeline, stamps } = await loadPipeline(findPipelineFile(io, named), settings.home);
  return { file, pipeline, stamps, isPushed: false };
}

export interface PipelinesInForce extends Pipelines, Disposable {}

/**
 * `needed`: digests of what items of earlier processes of this home were taken on with.
 *
 * @throws what loading the first one throws.
 */
export async function openPipelinesInForce(
  options: PipelineOptions,
  needed: ReadonlySet<Sha256>,
  listener: LivePipelineListener,
): Promise<PipelinesInForce> {
  const { io, settings, store, isShared, named } = options;
  const openFile = async (): Promise<PipelinesInForce> =>
    openLivePipeline(findPipelineFile(io, named), settings.home, needed, listener);
  if (!isShared) return openFile();
  const pushed = openPushedPipelines(store, settings);
  if (named !== undefined) return withPushed(await openFile(), pushed);
  const first = await readPointer(store);
  const following = await follow({ store, pushed, pollMs: settings.pollMs, listener }, first);
  if (first !== undefined) return following;
  const file = withPushed(await openFile(), pushed);
  return {
    current: () => (following.hasPushed() ? following.current() : file.current()),
    find: async (digest) => (await following.find(digest)) ?? file.find(digest),
    [Symbol.dispose]() {
      following[Symbol.dispose]();
      file[Symbol.dispose]();
    },
  };
}

/** A pipeline from a file; what it does not know is looked for in the bucket. */
function withPushed(file: PipelinesInForce, pushed: PushedPipelines): PipelinesInForce {
  return {
    current: () => file.current(),
    find: async (digest) => (await file.find(digest)) ?? findPushed(pushed, digest),
    [Symbol.dispose]: () => file[Symbol.dispose](),
  };
}

async function findPushed(
  pushed: PushedPipelines,
  digest: Sha256,
): Promise<CheckedPipeline | undefined> {
  try {
    return await pushed.load(digest);
  } catch (thrown) {
    const error = asClipscribeError(thrown);
    // Not here and not there: another runner may have it. All else is for whoever looks after them.
    if (error.kind === "missing") return undefined;
    throw error;
  }
}

interface Followed {
  store: ObjectStore;
  pushed: PushedPipelines;
  pollMs: number;
  listener: LivePipelineListener;
}

interface Following extends PipelinesInForce {
  hasPushed(): boolean;
}

/** The pointer, one conditional read a poll. A pushed one that can't be used changes nothing. */
async function follow(
  { store, pushed, pollMs, listener }: Followed,
  first: Awaited<ReturnType<typeof readPointer>>,
): Promise<Following> {
  let current = first && (await pushed.load(first.pointer.digest));
  let etag: Etag | undefined = first?.etag;
  let isLooking = false;
  let said = "";

  async function look(): Promise<void> {
    if (isLooking) return;
    isLooking = true;
    try {
      const found = await readPointer(store, etag);
      if (found === undefined) return;
      const next = await pushed.load(found.pointer.digest);
      etag = found.etag;
      const before = current;
      current = next;
      said = "";
      if (before?.digest === next.digest) return;
      const changes = before === undefined ? ["first push"] : describePipelineChange(before, next);
      listener.onChange(next, changes);
    } catch (thrown) {
      say(asClipscribeError(thrown));
    } finally {
      isLooking = false;
    }
  }

  /** The same trouble is said once, however often it is met. */
  function say(error: ClipscribeError): void {
    if (said === error.message) return;
    said = error.message;
    listener.onRefused(error);
  }

  const timer = setInterval(() => void look(), pollMs);
  return {
    hasPushed: () => current !== undefined,
    current() {
      if (current === undefined) throw new Error("nothing was pushed yet");
      return current;
    },
    find: async (digest) => (digest === current?.digest ? current : findPushed(pushed, digest)),
    [Symbol.dispose]: () => clearInterval(timer),
  };
}
