/**
 * What a machine that has the files does for each item before its ticket: edge stages by the
 * runner's engine, then the original where a worker reads it or somebody wants it kept.
 */
import { hostname } from "node:os";

import { sourceKey } from "../adapters/bucket-sources/bucket-sources.ts";
import { isSourceUploaded } from "../core/edge.ts";
import { ClipscribeError, asClipscribeError } from "../core/errors.ts";
import { keysOf } from "../core/keys.ts";
import type { CheckedPipeline } from "../core/pipeline.ts";
import type { ItemState, Ticket } from "../core/records.ts";
import { fixedPipeline } from "../ports/pipelines.ts";
import { openPreparer } from "../runner/prepare-item.ts";
import type { RunnerListener } from "../runner/runner-events.ts";
import type { PreparedWork } from "../sync/prepare-port.ts";
import { uploadSource } from "../sync/upload-source.ts";
import type { UploadProgress } from "../sync/upload-progress.ts";
import type { Machine } from "./compose.ts";

export interface ItemToPrepare {
  /** As it will be written, without what edge stages make. */
  ticket: Ticket;
  /** What earlier runs recorded of each stage. */
  before: ItemState["stages"];
  /** Where the original is; undefined where it is not here. */
  path: string | undefined;
  /** The original goes up though nobody but a person wants it there. */
  keepVideo: boolean;
  /** Called as the original is sent. */
  onUpload?: (progress: UploadProgress) => void;
  signal: AbortSignal;
}

/** @throws what is the bucket's fault or the network's; what is the item's is in the answer. */
export type ItemPreparer = (item: ItemToPrepare) => Promise<PreparedWork>;

/** `pipeline`: the one that the tickets name. Items that are prepared at once share its pools. */
export function openItemPreparer(
  machine: Machine,
  pipeline: CheckedPipeline,
  listener: RunnerListener,
): ItemPreparer {
  const world = machine.openWorld(fixedPipeline(pipeline), listener);
  const { user, store } = world;
  const keys = keysOf(user);
  const preparer = openPreparer(world, pipeline, {
    device: hostname(),
    // As originals are sent: once, resumed after a crash, no faster than the limit.
    async sendFile({ path, sha256, sizeBytes, mediaType, fileName }, signal) {
      const source = {
        sha256,
        size: sizeBytes,
        filename: fileName ?? sha256,
        media_type: mediaType,
      };
      const { uploads } = machine;
      const { retention } = pipeline;
      await uploadSource(store, keys.blob(sha256), { path, source, uploads, retention, signal });
    },
  });

  return async (item) => {
    const { ticket, before, signal } = item;
    const made = await preparer.prepare({ ticket, before, signal });
    if (made.error !== null) return { ...made, videoKey: null };
    if (!isSourceUploaded(pipeline, item)) return { ...made, videoKey: null };
    try {
      return { ...made, videoKey: await sendOriginal(machine, pipeline, item) };
    } catch (thrown) {
      signal.throwIfAborted();
      const error = asClipscribeError(thrown);
      if (error.kind !== "contract" && error.kind !== "missing") throw error;
      return { ...made, videoKey: null, error };
    }
  };
}

/** Brings the original into the bucket; returns its key. */
export async function sendOriginal(
  { store, uploads }: Machine,
  { retention }: Pick<CheckedPipeline, "retention">,
  { ticket, path, onUpload: onProgress, signal }: Omit<ItemToPrepare, "before" | "keepVideo">,
): Promise<string> {
  const { source, user } = ticket;
  if (path === undefined) {
    throw new ClipscribeError("missing", "the original file is gone", {
      details: { file: source.filename },
      hint: "put it back where it was, then run again",
    });
  }
  const key = sourceKey(user, source);
  await uploadSource(store, key, { path, source, uploads, retention, signal, onProgress });
  return key;
}
