/** `clipscribe batch cancel|pause|resume|approve JOB`: what people want of a job, for the runners. */
import { systemClock } from "../adapters/system/system-clock.ts";
import { EXIT } from "../core/exit-codes.ts";
import { formatUsd } from "../core/money.ts";
import { approveJob } from "../sync/approve-job.ts";
import { isOver, resumeJob, setControl } from "../sync/job-control.ts";
import { openBatchOffice, readJobName } from "./batch-office.ts";
import type { Io } from "./io.ts";

export type ControlVerb = "cancel" | "pause" | "resume";

const WORDS = {
  cancel: ["cancelled", "is cancelled: what is under way ends, what is published stays"],
  pause: ["paused", "is paused: the stages under way end, then its items are held"],
} as const;

export async function batchControl(
  verb: ControlVerb,
  name: string,
  { json }: { json: boolean },
  io: Io,
): Promise<number> {
  await using office = await openBatchOffice(io, { json });
  const { store, settings } = office;
  const { user } = settings;
  const job = await readJobName(office, [name]);
  if (verb === "resume") {
    const { before, items, forMoney } = await resumeJob(store, systemClock, { user, job });
    const resumed = items.map(({ item, run }) => ({ item_id: item, run }));
    if (json) {
      const answer = { schema: 1, job_id: job, control: "run", before, items: resumed };
      io.stdout(`${JSON.stringify({ ...answer, held_for_money: forMoney })}\n`);
    } else {
      const count = items.length === 1 ? "1 item waits" : `${items.length} items wait`;
      io.stdout(`${job} goes on: ${count} for a runner\n`);
      if (forMoney.length > 0) {
        io.stdout(`  ${forMoney.length} held for money: clipscribe batch approve ${job}\n`);
      }
    }
    return EXIT.complete;
  }
  const [state, sentence] = WORDS[verb];
  if (await isOver(store, user, job)) {
    const answer = { schema: 1, job_id: job, control: null, before: null };
    io.stdout(json ? `${JSON.stringify(answer)}\n` : `${job} has finished: nothing to ${verb}\n`);
    return EXIT.complete;
  }
  const { before } = await setControl(store, user, job, state);
  if (json) io.stdout(`${JSON.stringify({ schema: 1, job_id: job, control: state, before })}\n`);
  else io.stdout(`${job} ${sentence}\n  clipscribe batch resume ${job} lets it go on\n`);
  return EXIT.complete;
}

export async function batchApprove(
  name: string,
  { budget, json }: { budget: number | null; json: boolean },
  io: Io,
): Promise<number> {
  await using office = await openBatchOffice(io, { json });
  const { store, settings } = office;
  const job = await readJobName(office, [name]);
  const request = { user: settings.user, job, budgetUsd: budget, pipelineDigest: null };
  const { items, jobUsd } = await approveJob(store, systemClock, request);
  if (json) {
    const approved = items.map(({ item, limitUsd }) => ({ item_id: item, limit_usd: limitUsd }));
    io.stdout(`${JSON.stringify({ schema: 1, job_id: job, job_usd: jobUsd, items: approved })}\n`);
    return EXIT.complete;
  }
  if (items.length === 0) io.stdout(`nothing in ${job} is held for money\n`);
  for (const { item, limitUsd } of items) {
    io.stdout(`${item} may cost ${formatUsd(limitUsd)} and waits for a runner\n`);
  }
  return EXIT.complete;
}
