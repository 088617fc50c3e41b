/**
 * What the work on an item begins with, looked up while the write that claims it is on its way: that
 * waits for a disk's flush or for a bucket. Nothing is written but that artifacts found are kept from
 * ageing, and nothing is asked whose answer the claim could change: what people want of the job,
 * whether the first stages are done already, where the original lies. A claim that is lost has looked
 * for nothing; a look that fails is made again by the work itself.
 */
import type { CheckedPipeline } from "../core/pipeline.ts";
import type { Metadata, Ticket } from "../core/records.ts";
import type { LocatedSource, Sources } from "../ports/sources.ts";
import type { JobMetadata } from "./job-metadata.ts";
import { recogniseStage } from "./recognise-stage.ts";
import type { RecognisedStage } from "./recognise-stage.ts";
import type { StageCache } from "./stage-cache.ts";
import type { RunnerWorld } from "./world.ts";

export interface LookAhead {
  /** Undefined, as all that follows, where it was not to be found so. */
  metadata: Promise<Metadata | undefined>;
  /** A stage that needs no other one; once, for what is found to be lost later is looked for anew. */
  takeStage(id: string): Promise<RecognisedStage | undefined> | undefined;
  /** Only where it can be read without being brought. */
  source: LocatedSource | undefined;
}

export const NO_LOOK_AHEAD: LookAhead = {
  metadata: Promise.resolve(undefined),
  takeStage: () => undefined,
  source: undefined,
};

export interface LookAheadContext {
  world: RunnerWorld;
  jobs: JobMetadata;
  cache: StageCache;
  stopping: AbortSignal;
}

/** Never rejects, and never throws. */
export function lookAhead(
  { world, jobs, cache, stopping: signal }: LookAheadContext,
  ticket: Ticket,
  pipeline: CheckedPipeline,
): LookAhead {
  const nothing = (): undefined => undefined;
  const context = { world, ticket, pipeline, cache, signal };
  const isPrepared = (id: string): boolean => ticket.prepared.some(({ stage }) => stage === id);
  const first = pipeline.stages.filter(({ id, after }) => after.length === 0 && !isPrepared(id));
  const stages = new Map(
    first.map((stage) => {
      const found = recogniseStage(context, stage, new Map(), async () => undefined);
      return [stage.id, found.catch(nothing)];
    }),
  );
  return {
    metadata: jobs.read(ticket.job_id, signal).catch(nothing),
    takeStage(id) {
      const found = stages.get(id);
      stages.delete(id);
      return found;
    },
    source: glance(world.sources, ticket),
  };
}

function glance(sources: Sources, { source }: Ticket): LocatedSource | undefined {
  try {
    return sources.glance?.(source);
  } catch {
    return undefined;
  }
}
