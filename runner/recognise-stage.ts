/**
 * What a stage of an item is before it runs: done already, in want of an input, or to be run under
 * one of some keys. Only reads.
 */
import { isForced } from "../core/plan.ts";
import type { Ingredients } from "../core/plan.ts";
import type { CheckedStage } from "../core/pipeline.ts";
import type { StageCacheEntry } from "../core/records.ts";
import { identifyStage, providersOf } from "./identify-stage.ts";
import type { Provider, StageIdentity } from "./identify-stage.ts";
import type { FinishedStage, ItemRun } from "./item-run.ts";

export type RecogniseContext = Pick<ItemRun, "world" | "ticket" | "pipeline" | "cache" | "signal">;

export type RecognisedStage =
  /** The artifact that it needs and that is not there: `stage.artifact`. */
  | { is: "missing"; artifact: string }
  | { is: "prepared"; finished: FinishedStage }
  | { is: "cached"; entry: StageCacheEntry; ingredients: Ingredients }
  /** Not done yet: whom it may ask, in this order, and what it is then. */
  | { is: "new"; identities: (readonly [Provider | null, StageIdentity])[] };

/** `takePrepared`: what the ticket has of the stage, if anything. */
export async function recogniseStage(
  context: RecogniseContext,
  stage: CheckedStage,
  finished: ReadonlyMap<string, FinishedStage>,
  takePrepared: (identity: StageIdentity) => Promise<FinishedStage | undefined>,
): Promise<RecognisedStage> {
  const { world, ticket, pipeline, cache, signal } = context;
  // What any of those that may answer has answered is not asked again.
  const isAnew = isForced(ticket.from_stage, pipeline.stages, stage.id);
  const identities: (readonly [Provider | null, StageIdentity])[] = [];
  for (const provider of providersOf(world.providers, stage)) {
    const identified = await identifyStage(context, stage, finished, provider);
    if ("missing" in identified) return { is: "missing", artifact: identified.missing };
    const { identity } = identified;
    const prepared = await takePrepared(identity);
    if (prepared !== undefined) return { is: "prepared", finished: prepared };
    const entry = isAnew ? undefined : await cache.find(identity.key, signal);
    if (entry !== undefined) return { is: "cached", entry, ingredients: identity.ingredients };
    identities.push([provider, identity]);
  }
  return { is: "new", identities };
}
