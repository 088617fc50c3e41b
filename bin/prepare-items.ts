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
import type { Ticket } from "../core/records.ts";
import { openPreparer } from "../runner/prepare-item.ts";
import type { RunnerListener } from "../runner/runner-events.ts";
import type { PrepareItem } from "../sync/prepare-port.ts";
import { uploadSource } from "../sync/upload-source.ts";
import type { Machine } from "./compose.ts";

export interface PrepareOptions {
  machine: Machine;
  /** The one that the tickets name: of a pushed pipeline, never a local file that was not pushed. */
  pipeline: CheckedPipeline;
  listener: RunnerListener;
  /** Where the item's original is; undefined where it is not here. */
  pathOf: (ticket: Ticket) => string | undefined;
  /** Also send what only a person wants to have there. */
  keepVideo: (ticket: Ticket) => boolean;
  /** Called as an original is sent. */
  onUpload?: (ticket: Ticket, doneBytes: number) => void;
  signal: AbortSignal;
}

export function openPrepareItem(options: PrepareOptions): PrepareItem {
  const { machine, pipeline, signal } = options;
  const { uploads } = machine;
  const world = machine.openWorld(pipeline, options.listener);
  const keys = keysOf(world.user);
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
      await uploadSource(machine.store, keys.blob(sha256), { path, source, uploads, signal });
    },
  });

  /** Returns its key; null where it stays here. */
  async function sendOriginal(ticket: Ticket): Promise<string | null> {
    if (!isSourceUploaded(pipeline, { keepVideo: options.keepVideo(ticket) })) return null;
    const path = options.pathOf(ticket);
    if (path === undefined) throw gone(ticket);
    const key = sourceKey(ticket.user, ticket.source);
    const onProgress = ({ doneBytes }: { doneBytes: number }): void =>
      options.onUpload?.(ticket, doneBytes);
    const { source } = ticket;
    await uploadSource(machine.store, key, { path, source, uploads, signal, onProgress });
    return key;
  }

  return async (ticket, before) => {
    const made = await preparer.prepare({ ticket, before, signal });
    if (made.error !== null) return { ...made, videoKey: null };
    try {
      return { ...made, videoKey: await sendOriginal(ticket) };
    } catch (thrown) {
      signal.throwIfAborted();
      const error = asClipscribeError(thrown);
      // Of the item: others may go. What is the bucket's or the network's, ends the handing over.
      if (error.kind !== "contract" && error.kind !== "missing") throw error;
      return { ...made, videoKey: null, error };
    }
  };
}

function gone({ source }: Ticket): ClipscribeError {
  return new ClipscribeError("missing", "the original file is gone", {
    details: { file: source.filename },
    hint: "put it back where it was, then run again",
  });
}
