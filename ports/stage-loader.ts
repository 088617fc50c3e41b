/** Turns the stage files that a pipeline names into contracts and bundles that a thread can run. */
import type { ClipscribeError } from "../core/errors.ts";
import type { LoadedStage } from "../core/pipeline.ts";

export interface StageLoader {
  /**
   * Loads each `uses` (a path relative to the pipeline's folder). A file that is missing, does not
   * compile or has no contract gives its error in place, so that all problems show at once.
   */
  load(root: string, uses: readonly string[]): Promise<Map<string, LoadedStage | ClipscribeError>>;
}
