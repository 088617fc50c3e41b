/**
 * How the agent brings one item to its ticket where servers do the rest: edge stages here, then the
 * ticket. Several items at once share the pools of their pipeline.
 */
import { statSync } from "node:fs";

import { identityOf } from "../adapters/ledger/ledger.ts";
import { systemClock } from "../adapters/system/system-clock.ts";
import type { DropItem } from "../core/drop-records.ts";
import { ClipscribeError } from "../core/errors.ts";
import type { CheckedPipeline } from "../core/pipeline.ts";
import type { Pipelines } from "../ports/pipelines.ts";
import type { RunnerEvent } from "../runner/runner-events.ts";
import type { AgentWorld, HandOffWork } from "../sync/agent-world.ts";
import { fileFingerprint } from "../sync/fingerprint.ts";
import type { PrepareItem } from "../sync/prepare-port.ts";
import { submitJob } from "../sync/submit-job.ts";
import type { Machine } from "./compose.ts";
import { openItemPreparer, sendOriginal } from "./prepare-items.ts";
import type { ItemPreparer } from "./prepare-items.ts";

export function openAgentHandOff(machine: Machine, pipelines: Pipelines): AgentWorld["handOff"] {
  const preparers = new WeakMap<CheckedPipeline, ItemPreparer>();
  /** By job and item: who wants to hear how far a stage is. */
  const underWay = new Map<string, HandOffWork>();

  function hear(event: RunnerEvent): void {
    if (event.type !== "stage-progress") return;
    underWay.get(`${event.job_id}/${event.item_id}`)?.onProgress(event.fraction, event.stage);
  }

  function preparerOf(pipeline: CheckedPipeline): ItemPreparer {
    const preparer = preparers.get(pipeline) ?? openItemPreparer(machine, pipeline, hear);
    preparers.set(pipeline, preparer);
    return preparer;
  }

  return async (work) => {
    const { submission, item, drop, onProgress, signal } = work;
    const pipeline = await pipelines.find(submission.pipeline.digest);
    const prepare: PrepareItem = async (ticket, before) => {
      const path = item.path ?? undefined;
      const onUpload = ({ doneBytes, totalBytes }: { doneBytes: number; totalBytes: number }) =>
        onProgress(doneBytes / Math.max(1, totalBytes), "uploading");
      const about = { ticket, path, onUpload, signal };
      // Whoever has the drop's pipeline can run its edge stages, given the original.
      if (pipeline === undefined) {
        const videoKey = await sendOriginal(machine, pipelines.current(), about);
        return { artifacts: [], prepared: [], stages: {}, videoKey, error: null };
      }
      rememberPlace(machine, item);
      const keepVideo = drop.options.keep_video;
      return preparerOf(pipeline)({ ...about, before, keepVideo });
    };
    const name = `${submission.job}/${item.item}`;
    underWay.set(name, work);
    try {
      const keepVideo = drop.options.keep_video ? { keepVideo: true } : {};
      const wanted = { ...submission, ...keepVideo };
      const [handoff] = await submitJob(machine.store, systemClock, wanted, prepare);
      if (handoff === undefined) throw new ClipscribeError("bug", "nothing was handed off");
      return handoff;
    } finally {
      underWay.delete(name);
    }
  };
}

/**
 * Stages find an original by its hash, in the ledger: it is noted where it lies now, if it still is
 * what was hashed. @throws `missing`, `contract`.
 */
export function rememberPlace({ ledger }: Machine, { path, source, fingerprint }: DropItem): void {
  if (path === null || source === null) throw new ClipscribeError("bug", "an item has no file");
  const details = { file: source.filename };
  const info = statSync(path, { bigint: true, throwIfNoEntry: false });
  if (info === undefined) throw new ClipscribeError("missing", "the file is gone", { details });
  if (fileFingerprint({ ...identityOf(info), sizeBytes: Number(info.size) }) !== fingerprint) {
    throw new ClipscribeError("contract", "the file was changed after it was read", {
      details,
      hint: "drop it again once nobody writes it",
    });
  }
  ledger.remember(path, identityOf(info), source.sha256, systemClock.now());
}
