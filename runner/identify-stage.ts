/** What a stage's answer depends on, as far as it is known now: its inputs, its key. */
import { provenanceDigest, stageIngredients, stageKey } from "../core/plan.ts";
import type { Ingredients } from "../core/plan.ts";
import type { Sha256 } from "../core/ids.ts";
import type { CheckedPipeline, CheckedStage } from "../core/pipeline.ts";
import type { Ticket } from "../core/records.ts";
import type { Provenance } from "../core/stage.ts";
import { chooseProvider } from "../ports/providers.ts";
import type { ChatModel, Transcriber } from "../ports/providers.ts";
import type { FinishedStage } from "./item-run.ts";
import { provenanceFor } from "./provenance.ts";
import { bindInputs } from "./stage-inputs.ts";
import type { BoundInput } from "./stage-inputs.ts";
import type { RunnerWorld } from "./world.ts";

export interface StageIdentity {
  bound: Record<string, BoundInput>;
  provider: { provider: string; model: string } | null;
  provenance: Provenance;
  ingredients: Ingredients;
  key: Sha256;
}

export interface IdentifyContext {
  world: Pick<RunnerWorld, "providers" | "tools" | "version">;
  pipeline: CheckedPipeline;
  ticket: Ticket;
}

/**
 * What the stage is when `chosen` answers it. Returns what is missing (`stage.artifact`) where an
 * input was not made.
 */
export async function identifyStage(
  context: IdentifyContext,
  stage: CheckedStage,
  finished: ReadonlyMap<string, FinishedStage>,
  chosen: Provider | null,
): Promise<{ identity: StageIdentity } | { missing: string }> {
  const { inputs: bound, missing } = bindInputs(context, stage, finished);
  if (missing !== undefined) return { missing };
  const provider = chosen && { provider: chosen.provider, model: chosen.model };
  const provenance = provenanceFor(context, stage, finished);
  const inputs = digestInputs(bound, provenanceDigest(provenance));
  const isKeyed = stage.contract.needs?.keyed === true;
  const tools = isKeyed ? await context.world.tools.versions() : {};
  const ingredients = stageIngredients({ stage, inputs, provider, tools });
  return { identity: { bound, provider, provenance, ingredients, key: stageKey(ingredients) } };
}

function digestInputs(
  bound: Record<string, BoundInput>,
  provenance: Sha256,
): Record<string, string | undefined> {
  const digests: Record<string, string | undefined> = {};
  for (const [name, input] of Object.entries(bound)) {
    digests[name] = input.kind === "provenance" ? provenance : input.digest;
  }
  return digests;
}

export type Provider = Transcriber | ChatModel;

/**
 * Whom the stage may ask, in their order: the one that its param names, else the best configured,
 * then the declared fallbacks that are configured. `[null]` where there is nobody to ask.
 */
export function providersOf(
  { transcribers, chats }: RunnerWorld["providers"],
  stage: CheckedStage,
): [Provider | null, ...Provider[]] {
  const { provider, providerParam = "", fallbackParam = "" } = stage.contract.needs ?? {};
  if (provider === undefined) return [null];
  const configured: readonly Provider[] = provider === "transcriber" ? transcribers : chats;
  const fallbacks = stage.params[fallbackParam];
  const wanted = [stage.params[providerParam], ...(Array.isArray(fallbacks) ? fallbacks : [])];
  const [first = null, ...others] = new Set(
    wanted.flatMap((name) => chooseProvider(configured, name) ?? []),
  );
  return [first, ...others];
}
