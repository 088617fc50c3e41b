/** What made an item's artifacts so far: the built-in input `provenance`. */
import { upstreamOf } from "../core/plan.ts";
import type { CheckedStage } from "../core/pipeline.ts";
import type { Provenance } from "../core/stage.ts";
import type { FinishedStage, ItemRun } from "./item-run.ts";
import type { RunnerWorld } from "./world.ts";

export function provenanceFor(
  run: Pick<ItemRun, "pipeline" | "ticket"> & { world: Pick<RunnerWorld, "version"> },
  stage: CheckedStage,
  finished: ReadonlyMap<string, FinishedStage>,
): Provenance {
  const stages: Provenance["stages"] = [];
  const lacks: Provenance["lacks"] = [];
  for (const { id, uses } of upstreamOf(run.pipeline, stage)) {
    const done = finished.get(id);
    if (done === undefined) continue;
    const { entry, record, lacks: reasons = [] } = done;
    for (const why of reasons) lacks.push({ stage: id, why });
    if (entry === null) {
      lacks.push({ stage: id, why: record.error?.message ?? record.why });
      continue;
    }
    stages.push({
      id,
      uses,
      provider: entry.provider,
      model: entry.model,
      cost_usd: entry.cost,
      seconds: (Date.parse(entry.ended_at) - Date.parse(entry.started_at)) / 1000,
      ended_at: entry.ended_at,
    });
  }
  return {
    pipeline: run.pipeline.name,
    clipscribe_version: run.world.version,
    source_sha256: run.ticket.source.sha256,
    stages,
    lacks,
  };
}
