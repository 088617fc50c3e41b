/**
 * Which pipeline whoever has the files works by. With a cloud that is the one that was pushed to it,
 * never a local file that was not: a runner that does not have a ticket's pipeline leaves it.
 */
import type { Sha256 } from "../core/ids.ts";
import type { CheckedPipeline } from "../core/pipeline.ts";

export interface PipelineSource {
  /** The one in force: new items take it. */
  current(): Promise<CheckedPipeline>;
  /** The one of an earlier run; `undefined` where this machine can't have it. */
  find(digest: Sha256): Promise<CheckedPipeline | undefined>;
}

/** One pipeline for everything: the file that a command was started with. */
export function fixedPipeline(pipeline: CheckedPipeline): PipelineSource {
  return {
    current: () => Promise.resolve(pipeline),
    find: (digest) => Promise.resolve(digest === pipeline.digest ? pipeline : undefined),
  };
}
