/**
 * The money of one claim: its item's, its job's and its day's budget. Before the first paid call
 * the whole item is estimated, so that what can't be finished is not begun, and once more when it
 * is known how much was said; each call is reserved before it is made.
 */
import { ClipscribeError, asClipscribeError, isKind } from "../core/errors.ts";
import { createSpending, exceeds, overBudget, reserve, settleOnce } from "../core/money.ts";
import type { Reservation } from "../core/money.ts";
import type { CheckedPipeline } from "../core/pipeline.ts";
import type { Metadata, Ticket } from "../core/records.ts";
import type { ArtifactShelf } from "./artifact-shelf.ts";
import type { Budgets } from "./budgets.ts";
import { estimateStage } from "./estimate-stage.ts";
import type { FinishedStage } from "./item-run.ts";
import { hasTranscript, measureLength } from "./measure-length.ts";
import type { SourceLength } from "./measure-length.ts";
import type { RunnerWorld } from "./world.ts";

export interface ItemMoney {
  readonly spentUsd: number;
  /** What the run would cost in all, as foreseen before its first paid call; null before that. */
  readonly estimateUsd: number | null;
  /** What people want may change while the item is worked on. */
  obey(control: Metadata["control"]): void;
  /** Sets money aside for one call. @throws `budget`, with a hint that names the job. */
  reserve(
    usd: number,
    finished: ReadonlyMap<string, FinishedStage>,
    signal: AbortSignal,
  ): Promise<Reservation>;
}

export interface ItemMoneyOptions {
  world: RunnerWorld;
  pipeline: CheckedPipeline;
  ticket: Ticket;
  shelf: ArtifactShelf;
  budgets: Budgets;
  /** What earlier claims of the same run have spent. */
  spentUsd: number;
  /** Called after each call that was paid for. */
  onPaid: () => void;
}

export function openItemMoney(options: ItemMoneyOptions): ItemMoney {
  const { pipeline, ticket, budgets } = options;
  const spending = createSpending(pipeline.budget.itemUsd, options.spentUsd);
  let limits = pipeline.budget;
  let estimateUsd: number | null = null;
  /** The last one, by which the item is held. */
  let foreseenUsd = 0;
  let foreseen: Promise<void> | undefined;
  let wasSpoken = false;

  async function foresee(
    finished: ReadonlyMap<string, FinishedStage>,
    signal: AbortSignal,
  ): Promise<void> {
    const length = await measureLength(options.shelf, finished, signal);
    foreseenUsd = Math.max(spending.spentUsd, estimateRun(options, finished, length));
    estimateUsd ??= foreseenUsd;
    const { limitUsd } = spending;
    if (exceeds(foreseenUsd, limitUsd)) throw overBudget("item", limitUsd, foreseenUsd);
    await budgets.foresee(ticket.job_id, limits, foreseenUsd - spending.spentUsd);
  }

  return {
    get spentUsd() {
      return spending.spentUsd;
    },
    get estimateUsd() {
      return estimateUsd;
    },
    obey({ budget_usd, approved_usd }) {
      spending.limitUsd = budget_usd ?? pipeline.budget.itemUsd;
      limits =
        approved_usd === null
          ? pipeline.budget
          : { ...pipeline.budget, jobUsd: approved_usd, dayUsd: null };
    },
    async reserve(usd, finished, signal) {
      try {
        const isSpoken = hasTranscript(finished);
        if (isSpoken && !wasSpoken) foreseen = undefined;
        wasSpoken = isSpoken;
        foreseen ??= usd > 0 ? foresee(finished, signal) : undefined;
        await foreseen;
        const ofItem = reserve(spending, usd);
        try {
          const shared = await budgets.reserve(ticket.job_id, limits, usd);
          return settleOnce((costUsd) => {
            ofItem.settle(costUsd);
            shared.settle(costUsd);
            if (costUsd > 0) options.onPaid();
          });
        } catch (error) {
          ofItem.settle(0);
          throw error;
        }
      } catch (error) {
        if (!isKind(error, "budget")) throw error;
        const { spentUsd, reservedUsd } = spending;
        estimateUsd = Math.max(foreseenUsd, spentUsd + reservedUsd + usd);
        const { message } = asClipscribeError(error);
        throw new ClipscribeError("budget", message, {
          hint: `\`clipscribe approve ${ticket.job_id}\` goes on and pays; or raise \`budget:\` in pipeline.yaml, or give --budget, and run again. What is paid for is kept`,
        });
      }
    },
  };
}

/** What has been spent on finished stages, and the estimates of the others. */
function estimateRun(
  { world, pipeline }: ItemMoneyOptions,
  finished: ReadonlyMap<string, FinishedStage>,
  length: SourceLength,
): number {
  let usd = 0;
  for (const stage of pipeline.stages) {
    const done = finished.get(stage.id);
    usd += done?.record.cost ?? estimateStage(world.providers, stage, length)?.costUsd ?? 0;
  }
  return usd;
}
