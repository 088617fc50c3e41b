/**
 * Runs an item's stages in the order of what they need, several at once where they don't need each
 * other. A damaged or vanished artifact sends the item back to the stage that makes it.
 */
import { asClipscribeError } from "../core/errors.ts";
import type { CheckedStage } from "../core/pipeline.ts";
import { ArtifactLost } from "./artifact-shelf.ts";
import { PausedByPerson } from "./interruptions.ts";
import type { FinishedStage, ItemRun } from "./item-run.ts";
import { runStage } from "./run-stage.ts";

/** An artifact that is lost again right after it was made means a bad disk, not bad luck. */
const MAX_REMAKES = 2;

/** @throws whatever ends the run; see `runStage`. */
export async function executeItem(
  run: ItemRun,
  abort: (reason: unknown) => void,
): Promise<Map<string, FinishedStage>> {
  for (let remade = 0; ; remade++) {
    const finished = new Map<string, FinishedStage>();
    try {
      await runAll(run, finished, abort);
      return finished;
    } catch (error) {
      if (!(error instanceof ArtifactLost) || remade >= MAX_REMAKES) throw error;
      await forgetLost(run, finished, error);
    }
  }
}

async function runAll(
  run: ItemRun,
  finished: Map<string, FinishedStage>,
  abort: (reason: unknown) => void,
): Promise<void> {
  const started = new Map<string, Promise<void>>();
  const start = async (stage: CheckedStage): Promise<void> => {
    await Promise.all(stage.after.map((id) => started.get(id)));
    run.signal.throwIfAborted();
    if (run.isPaused()) throw new PausedByPerson();
    finished.set(stage.id, await runStage(run, stage, finished));
  };
  for (const stage of run.pipeline.stages) started.set(stage.id, start(stage));

  const results = await Promise.allSettled(
    Array.from(started.values(), async (promise) =>
      promise.catch((error: unknown) => {
        // The first failure ends the others; a lost artifact is made again, so they may end.
        if (!(error instanceof ArtifactLost)) abort(error);
        throw error;
      }),
    ),
  );
  const failures = results.flatMap((result) =>
    result.status === "rejected" ? [result.reason as unknown] : [],
  );
  const lost = failures.find((reason) => reason instanceof ArtifactLost);
  const first = run.signal.aborted ? (run.signal.reason as unknown) : (lost ?? failures[0]);
  if (failures.length > 0) throw asClipscribeError(first);
}

async function forgetLost(
  run: ItemRun,
  finished: ReadonlyMap<string, FinishedStage>,
  lost: ArtifactLost,
): Promise<void> {
  run.log.add(null, "warn", "an artifact is lost and will be made again", { sha256: lost.sha256 });
  await run.shelf.discard(lost.sha256, run.signal);
  for (const { entry } of finished.values()) {
    const names = Object.values(entry?.artifacts ?? {}).some(
      ({ sha256 }) => sha256 === lost.sha256,
    );
    if (entry !== null && names) await run.cache.forget(entry.key, run.signal);
  }
}
