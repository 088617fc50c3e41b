/**
 * The money of one claim: its item's, its job's and its day's budget. Before the first paid call
 * the whole item is estimated, so that what can't be finished is not begun; after that each call
 * is reserved before it is made.
 */
import { ClipscribeError, asClipscribeError, isKind } from "../core/errors.ts";
import { MediaInfo } from "../core/media-info.ts";
import { createSpending, exceeds, overBudget, reserve, settleOnce } from "../core/money.ts";
import type { Reservation } from "../core/money.ts";
import type { CheckedPipeline } from "../core/pipeline.ts";
import type { Metadata, Ticket } from "../core/records.ts";
import type { ArtifactShelf } from "./artifact-shelf.ts";
import type { Budgets } from "./budgets.ts";
import { estimateStage } from "./estimate-stage.ts";
import type { FinishedStage } from "./item-run.ts";
import type { RunnerWorld } from "./world.ts";

export interface ItemMoney {
  readonly spentUsd: number;
  /** What the run would cost in all; null before its first paid call. */
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
  let foreseen: Promise<void> | undefined;

  async function foresee(
    finished: ReadonlyMap<string, FinishedStage>,
    signal: AbortSignal,
  ): Promise<void> {
    const mediaSeconds = await readMediaSeconds(options.shelf, finished, signal);
    estimateUsd = Math.max(spending.spentUsd, estimateRun(options, finished, mediaSeconds));
    const { limitUsd } = spending;
    if (exceeds(estimateUsd, limitUsd)) throw overBudget("item", limitUsd, estimateUsd);
    await budgets.foresee(ticket.job_id, limits, estimateUsd - spending.spentUsd);
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
        estimateUsd = Math.max(estimateUsd ?? 0, spentUsd + reservedUsd + usd);
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
  mediaSeconds: number | null,
): number {
  let usd = 0;
  for (const stage of pipeline.stages) {
    const done = finished.get(stage.id);
    usd += done?.record.cost ?? estimateStage(world.providers, stage, mediaSeconds)?.costUsd ?? 0;
  }
  return usd;
}

/** The length that a stage found out and named `media`; null where none has. */
export async function readMediaSeconds(
  shelf: ArtifactShelf,
  finished: ReadonlyMap<string, Pick<FinishedStage, "entry">>,
  signal: AbortSignal,
): Promise<number | null> {
  for (const { entry } of finished.values()) {
    const media = entry?.artifacts["media"];
    if (media === undefined) continue;
    const found = MediaInfo.safeParse(JSON.parse(await shelf.readText(media, signal)));
    if (found.success) return found.data.duration;
  }
  return null;
}
