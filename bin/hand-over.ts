/** Hands a job over to whoever works on it: this machine, or runners that have no file of it. */
import { systemClock } from "../adapters/system/system-clock.ts";
import type { CheckedPipeline } from "../core/pipeline.ts";
import type { Ticket } from "../core/records.ts";
import { safeLine } from "../core/safe-text.ts";
import type { RunnerListener } from "../runner/runner-events.ts";
import type { PrepareItem } from "../sync/prepare-port.ts";
import { submitJob } from "../sync/submit-job.ts";
import type { Handoff, JobSubmission } from "../sync/submit-job.ts";
import type { UploadProgress } from "../sync/upload-progress.ts";
import type { Machine } from "./compose.ts";
import { openItemPreparer } from "./prepare-items.ts";

export interface HandOver {
  machine: Machine;
  pipeline: CheckedPipeline;
  listener: RunnerListener;
  pathOf: (ticket: Ticket) => string | undefined;
  keepVideo: boolean;
  busy: (text: string) => void;
  signal: AbortSignal;
}

/** On one machine edge stages are left to its runner: they would run here either way. */
export async function handOver(work: HandOver, submission: JobSubmission): Promise<Handoff[]> {
  const { machine, pipeline, listener, pathOf, keepVideo, busy, signal } = work;
  if (!machine.isShared) return submitJob(machine.store, systemClock, submission);
  const underWay = new Map<string, UploadProgress>();
  const prepareItem = openItemPreparer(machine, pipeline, listener);
  const prepare: PrepareItem = async (ticket, before) =>
    prepareItem({
      ticket,
      before,
      path: pathOf(ticket),
      keepVideo,
      onUpload(progress) {
        underWay.set(ticket.item_id, progress);
        busy(describeUploads([...underWay.values()], ticket.source.filename));
      },
      signal,
    });
  return submitJob(machine.store, systemClock, submission, prepare);
}

function describeUploads(all: readonly UploadProgress[], name: string): string {
  const sum = (of: (each: UploadProgress) => number): number =>
    all.reduce((total, each) => total + of(each), 0);
  const done =
    sum(({ doneBytes }) => doneBytes) /
    Math.max(
      1,
      sum(({ totalBytes }) => totalBytes),
    );
  const what = all.length === 1 ? safeLine(name, 80) : `${all.length} files`;
  return `uploading ${what}: ${Math.floor(done * 100)} %`;
}
