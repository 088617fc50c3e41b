/**
 * A laptop as a process: hands files over to the cloud of its environment, or sends again what is
 * missed, and ends. One JSON line on stdout. For tests and benchmarks.
 *
 *   node laptop-child.ts '{"pipeline": …, "job": …, "files": […]}'   or   {"resend": "item", …}
 */
import { statSync } from "node:fs";
import { basename } from "node:path";

import { identityOf } from "../adapters/ledger/ledger.ts";
import { systemClock } from "../adapters/system/system-clock.ts";
import { openMachine } from "../bin/compose.ts";
import { handOver } from "../bin/hand-over.ts";
import { systemIo } from "../bin/io.ts";
import { loadPipeline } from "../bin/load-pipeline.ts";
import { openLog } from "../bin/log.ts";
import { resendMissing } from "../bin/resend-items.ts";
import { readSettings } from "../bin/settings.ts";
import { ItemId, JobId } from "../core/ids.ts";
import type { Sha256 } from "../core/ids.ts";
import { ItemInfo } from "../core/records.ts";
import { untilReached } from "../runner/patient.ts";
import type { RunnerEvent } from "../runner/runner-events.ts";
import { fixedPipeline } from "../ports/pipelines.ts";
import { hashSource } from "../sync/hash-source.ts";
import type { SubmittedItem } from "../sync/submit-job.ts";

export interface LaptopRequest {
  pipeline: string;
  job: string;
  files?: string[];
  /** Absolute paths of caption files by the path of their file. */
  sidecars?: Record<string, string[]>;
  keepVideo?: boolean;
  again?: boolean;
  /** An item of the job, instead of files. */
  resend?: string;
}

const request = JSON.parse(process.argv[2] ?? "{}") as LaptopRequest;
const io = systemIo();
const settings = await readSettings(io);
const log = openLog({ write: io.stderr, format: "json", level: "info" });
await using machine = await openMachine(io, settings, log);
const { pipeline } = await loadPipeline(request.pipeline, settings.home);
const { signal } = new AbortController();
const ran: string[] = [];
const listener = (event: RunnerEvent): void => {
  if (event.type === "stage-ended") {
    ran.push(`${event.item_id} ${event.stage} ${event.state}: ${event.why}`);
  }
};
const job = JobId.parse(request.job);
const { user } = settings;
const outcome =
  request.resend === undefined
    ? await submit(request.files ?? [])
    : await resendMissing(
        { machine, user, pipelines: fixedPipeline(pipeline), listener, signal },
        job,
        ItemId.parse(request.resend),
      );
io.stdout(`${JSON.stringify({ outcome, stages: ran })}\n`);

async function submit(files: readonly string[]): Promise<unknown> {
  const paths = new Map<string, string>();
  const items: SubmittedItem[] = [];
  for (const path of files) {
    const name = basename(path);
    const id = ItemId.parse(name.replace(/\.[^.]+$/, ""));
    paths.set(id, path);
    const sha256 = await remember(path);
    const { size } = statSync(path);
    const source = { kind: "file" as const, url: null, filename: name, media_type: "video/mp4" };
    const info = ItemInfo.parse({ file_name: name });
    const sidecars = request.sidecars?.[path] ?? [];
    items.push({ id, source: { ...source, sha256, size }, info, sidecars });
  }
  const handing = {
    machine,
    pipeline,
    listener,
    pathOf: ({ item_id }: { item_id: string }) => paths.get(item_id),
    keepVideo: request.keepVideo ?? false,
    busy: () => undefined,
    signal,
  };
  const submission = {
    job,
    user,
    lane: "batch" as const,
    pipeline: { name: pipeline.name, digest: pipeline.digest },
    device: "laptop",
    items,
    again: request.again ?? false,
    ...(request.keepVideo === true && { keepVideo: true }),
  };
  // As the agent does: a hand-off that the network cuts off goes on, with the same ids.
  const until = untilReached(systemClock, log);
  const handoffs = await until(() => handOver(handing, submission), signal);
  return handoffs.map(({ item, action }) => ({ item, action }));
}

/** As collect-drops does: the ledger knows which file has which bytes. */
async function remember(path: string): Promise<Sha256> {
  const { sha256, info } = await hashSource(path, signal);
  machine.ledger.remember(path, identityOf(info), sha256, new Date(Date.now() + 3_000));
  return sha256;
}
