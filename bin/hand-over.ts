/** Hands a job over to whoever works on it: this machine, or runners that have no file of it. */
import { systemClock } from "../adapters/system/system-clock.ts";
import type { CheckedPipeline } from "../core/pipeline.ts";
import type { Ticket } from "../core/records.ts";
import { safeLine } from "../core/safe-text.ts";
import type { RunnerListener } from "../runner/runner-events.ts";
import { submitJob } from "../sync/submit-job.ts";
import type { Handoff, JobSubmission } from "../sync/submit-job.ts";
import type { Machine } from "./compose.ts";
import { openPrepareItem } from "./prepare-items.ts";

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
  const { machine, pipeline, listener, pathOf, busy, signal } = work;
  if (!machine.isShared) return submitJob(machine.store, systemClock, submission);
  const underWay = new Map<string, { doneBytes: number; sizeBytes: number }>();
  const prepare = openPrepareItem({
    machine,
    pipeline,
    listener,
    pathOf,
    keepVideo: () => work.keepVideo,
    onUpload(ticket, doneBytes) {
      const { size: sizeBytes, filename } = ticket.source;
      underWay.set(ticket.item_id, { doneBytes, sizeBytes });
      busy(describeUploads([...underWay.values()], filename));
    },
    signal,
  });
  return submitJob(machine.store, systemClock, submission, prepare);
}

function describeUploads(
  all: readonly { doneBytes: number; sizeBytes: number }[],
  name: string,
): string {
  const sum = (of: (each: { doneBytes: number; sizeBytes: number }) => number): number =>
    all.reduce((total, each) => total + of(each), 0);
  const done =
    sum(({ doneBytes }) => doneBytes) /
    Math.max(
      1,
      sum(({ sizeBytes }) => sizeBytes),
    );
  const what = all.length === 1 ? safeLine(name, 80) : `${all.length} files`;
  return `uploading ${what}: ${Math.floor(done * 100)} %`;
}
