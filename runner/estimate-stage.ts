/** What a stage would take, by its own contract and whoever it would ask here. */
import type { CheckedStage } from "../core/pipeline.ts";
import type { StageEstimate } from "../core/stage.ts";
import { providersOf } from "./identify-stage.ts";
import type { SourceLength } from "./measure-length.ts";
import type { Providers } from "./world.ts";

/** Null where nobody can say: no estimate in the contract, or the duration is not known. */
export function estimateStage(
  providers: Providers,
  stage: CheckedStage,
  { mediaSeconds, spoken }: SourceLength,
): StageEstimate | null {
  const { estimate } = stage.contract;
  if (estimate === undefined || mediaSeconds === null) return null;
  const [chosen] = providersOf(providers, stage);
  const provider = chosen && {
    provider: chosen.provider,
    model: chosen.model,
    ...(chosen.spec !== undefined && { spec: chosen.spec }),
  };
  return estimate({ mediaSeconds, spoken, params: stage.params, provider });
}
