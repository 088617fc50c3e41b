/** `clipscribe approve JOB`: lets the items that were held for money go on, here and now. */
import { systemClock } from "../adapters/system/system-clock.ts";
import { EXIT } from "../core/exit-codes.ts";
import { keysOf } from "../core/keys.ts";
import { formatUsd } from "../core/money.ts";
import { approveJob } from "../sync/approve-job.ts";
import type { Approval } from "../sync/approve-job.ts";
import { awaitItems } from "./await-items.ts";
import { LANE } from "./collect-drops.ts";
import { openMachine } from "./compose.ts";
import type { Io } from "./io.ts";
import { collectResult } from "./item-results.ts";
import type { ItemResult } from "./item-results.ts";
import { readJobId } from "./item-target.ts";
import { loadPipelineInForce } from "./pipelines-in-force.ts";
import { reportEnd, reportInterrupted } from "./report-run.ts";
import { openResultsFetcher } from "./results-fetcher.ts";
import { readSettings } from "./settings.ts";
import { openView } from "./ui/open-view.ts";
import type { ViewOptions } from "./ui/open-view.ts";

export interface ApproveOptions extends ViewOptions {
  pipeline?: string | undefined;
  /** USD an item; null: what each was estimated to cost, and a quarter. */
  budget: number | null;
}

export async function approve(name: string, options: ApproveOptions, io: Io): Promise<number> {
  const job = readJobId(name);
  const settings = await readSettings(io);
  const { user, results: resultsDir } = settings;
  let approval: Approval = { items: [], jobUsd: 0 };
  const { view, log, signal, close } = await openView(options, io, () => approval.items.length);
  const results = new Map<string, ItemResult>();
  await using machine = await openMachine(io, settings, log);
  try {
    const { store, isShared } = machine;
    const source = { io, settings, store, isShared, named: options.pipeline };
    const { pipeline, isPushed } = await loadPipelineInForce(source);
    // A pushed one that the job was held under is there still, whatever holds now.
    const pipelineDigest = isPushed ? null : pipeline.digest;
    const request = { user, job, budgetUsd: options.budget, pipelineDigest };
    approval = await approveJob(machine.store, systemClock, request);
    if (approval.items.length === 0) {
      view.stop();
      io.stdout(`nothing in ${job} is held for money\n`);
      return EXIT.complete;
    }
    const limits = approval.items.map(({ item, limitUsd }) => `${item} ${formatUsd(limitUsd)}`);
    view.note(`approved at most: ${limits.join(", ")}`);
    await using fetcher = openResultsFetcher(machine, settings, approval.items.length);
    await awaitItems({
      machine,
      pipeline,
      user,
      sweepPrefix: `${keysOf(user).inbox(LANE)}${job}/`,
      tickets: approval.items.map(({ ticket }) => ticket),
      onEvent: (event) => view.event(event),
      onEnd: async (item, end) => {
        const note = (text: string): void => view.note(text);
        results.set(item, await collectResult({ fetcher, note }, item, end));
      },
      signal,
    });
    view.stop();
    if (signal.aborted) return reportInterrupted(options, io, job, results);
    return reportEnd(options, io, { job, resultsDir }, [], results);
  } finally {
    close();
  }
}
