/**
 * Which pipeline holds, and what earlier work was taken on with. With a cloud that is the one that was
 * pushed to it, never a local file that was not: a runner that does not have a ticket's leaves it.
 */
import type { Sha256 } from "../core/ids.ts";
import type { CheckedPipeline } from "../core/pipeline.ts";

export interface Pipelines {
  /** The one in force: what is dropped now goes through it. */
  current(): CheckedPipeline;
  /** By its digest; may bring it here first. `undefined` where this machine can't have it. */
  find(digest: Sha256): Promise<CheckedPipeline | undefined>;
}

/** One pipeline for everything: the file that a command was started with. */
export function fixedPipeline(pipeline: CheckedPipeline): Pipelines {
  return {
    current: () => pipeline,
    find: async (digest) => (digest === pipeline.digest ? pipeline : undefined),
  };
}
