/** `clipscribe plan`: what a run would do, without doing it. Reads and hashes, writes nothing. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { openDownloader } from "../adapters/yt-dlp/downloader.ts";
import { EXIT } from "../core/exit-codes.ts";
import { keysOf } from "../core/keys.ts";
import { formatUsd } from "../core/money.ts";
import type { StageRecord } from "../core/records.ts";
import { safeLine } from "../core/safe-text.ts";
import { fixedPipeline } from "../ports/pipelines.ts";
import { openArtifactShelf } from "../runner/artifact-shelf.ts";
import { readItem } from "../runner/item-record.ts";
import { planItem } from "../runner/plan-item.ts";
import type { PlannedStage } from "../runner/plan-item.ts";
import { openStageCache } from "../runner/stage-cache.ts";
import { assignItemIds, jobIdForMany } from "../sync/plan-items.ts";
import { describeTicket, readItemIds } from "../sync/submit-job.ts";
import { LANE, collectDrops } from "./collect-drops.ts";
import { openMachine } from "./compose.ts";
import { describeChoices, formatChoice } from "./describe-choices.ts";
import type { Io } from "./io.ts";
import { openLog } from "./log.ts";
import { loadPipelineInForce } from "./pipelines-in-force.ts";
import { readSettings } from "./settings.ts";
import { hangText } from "./ui/wrap-text.ts";

/** Reading a header takes no longer. */
const PROBE_TIMEOUT_MS = 20_000;

interface ItemPlan {
  item_id: string;
  stages: PlannedStage[];
}

export async function plan(
  args: readonly string[],
  options: { pipeline: string | undefined; json: boolean },
  io: Io,
): Promise<number> {
  const settings = await readSettings(io);
  const log = openLog({ write: io.stderr, format: options.json ? "json" : "text", level: "warn" });
  await using machine = await openMachine(io, settings, log);
  const { store, isShared } = machine;
  const source = { io, settings, store, isShared, named: options.pipeline };
  const { pipeline } = await loadPipelineInForce(source);
  const signal = new AbortController().signal;
  const collected = await collectDrops(args, io.cwd, {
    accept: pipeline.accept,
    ledger: machine.ledger,
    downloader: openDownloader({ io, settings }),
    downloadsDir: join(settings.home, "downloads"),
    signal,
    busy: () => undefined,
  });
  const { user } = settings;
  const keys = keysOf(user);
  const world = machine.openWorld(fixedPipeline(pipeline), () => undefined);
  const shelf = openArtifactShelf(store, keys, world.defences);
  const cache = openStageCache(store, keys, shelf, log, world.defences);
  const job = jobIdForMany(collected.parts);
  const ids = assignItemIds(collected.drops, await readItemIds(store, user, job));
  const plans: ItemPlan[] = [];
  for (const drop of collected.drops) {
    const item = ids.get(drop.name);
    if (item === undefined) continue;
    const { source, info, sidecars } = drop;
    const submission = { job, user, lane: LANE, pipeline };
    const ticket = describeTicket(submission, { id: item, source, info, sidecars }, new Date());
    const found = await readItem(store, keys.item(job, item));
    const before: Record<string, StageRecord> = found?.state.stages ?? {};
    const measureMedia = async (): Promise<number | null> => measure(drop.path);
    const context = { world, pipeline, ticket, cache, shelf, before, measureMedia };
    const stages = await planItem(context, signal);
    plans.push({ item_id: item, stages });
  }
  const uses = describeChoices(world.providers, pipeline.stages);
  if (options.json) io.stdout(`${JSON.stringify({ ...toRecord(job, plans), uses })}\n`);
  else {
    print(plans, collected.refused, io);
    for (const choice of uses) io.stdout(formatChoice(choice, "asks  ", io));
  }
  return EXIT.complete;

  /** How long the medium says that it is: enough for an estimate. */
  async function measure(path: string): Promise<number | null> {
    const scratch = mkdtempSync(join(tmpdir(), "clipscribe-plan-"));
    const show = ["-show_entries", "format=duration", "-of", "csv=p=0"];
    const call = {
      tool: "ffprobe" as const,
      args: ["-v", "error", ...show, "-i", path],
      readable: [path],
      writableDir: scratch,
      timeoutMs: PROBE_TIMEOUT_MS,
      maxStdoutBytes: 1_000,
      signal,
    };
    const found = await world.tools.run(call).catch(() => undefined);
    rmSync(scratch, { recursive: true, force: true });
    const seconds = Number.parseFloat(found?.stdout ?? "");
    return Number.isFinite(seconds) ? seconds : null;
  }
}

function toRecord(job: string, plans: readonly ItemPlan[]): object {
  const items = plans.map(({ item_id, stages }) => ({
    item_id,
    cost_usd: stages.reduce((sum, { costUsd }) => sum + (costUsd ?? 0), 0),
    stages: stages.map(({ costUsd, ...stage }) => ({ ...stage, cost_usd: costUsd })),
  }));
  const cost_usd = items.reduce((sum, item) => sum + item.cost_usd, 0);
  return { schema: 1, job_id: job, cost_usd, items };
}

function print(
  plans: readonly ItemPlan[],
  refused: readonly { name: string; error: { message: string } }[],
  io: Io,
): void {
  for (const { item_id, stages } of plans) {
    io.stdout(`${item_id}\n`);
    for (const { stage, action, why, seconds, costUsd } of stages) {
      const minutes = seconds === null ? "?" : (seconds / 60).toFixed(1);
      const dollars = costUsd === null ? "?" : formatUsd(costUsd);
      const mark = `  ${stage.padEnd(14)} ${action.padEnd(8)} ${minutes.padStart(6)} min ${dollars.padStart(8)}  `;
      io.stdout(hangText(mark, safeLine(why, 200), io));
    }
  }
  for (const { name, error } of refused)
    io.stdout(`refused ${safeLine(name, 120)}: ${safeLine(error.message, 300)}\n`);
  const all = plans.flatMap(({ stages }) => stages);
  const count = (action: string): number => all.filter((stage) => stage.action === action).length;
  const seconds = all.reduce((sum, stage) => sum + (stage.seconds ?? 0), 0);
  const cost = all.reduce((sum, stage) => sum + (stage.costUsd ?? 0), 0);
  const least = all.some((stage) => stage.seconds === null) ? "at least " : "";
  const isOpen = all.some((stage) => stage.costUsd === null);
  // Captions that turn up make the transcriber, and its price, unnecessary.
  const bound = isOpen ? "at least " : cost === 0 ? "" : "at most ";
  io.stdout(
    `${count("reuse")} reused, ${count("run")} to run, ${count("depends")} that depend on those; ${least}${(seconds / 60).toFixed(1)} min, ${bound}${formatUsd(cost)}\n`,
  );
}
