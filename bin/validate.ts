/** `clipscribe validate`: all problems of a pipeline at once, with their places. */
import { EXIT } from "../core/exit-codes.ts";
import type { Io } from "./io.ts";
import { findPipelineFile } from "./find-pipeline.ts";
import { PipelineRefused, loadPipeline } from "./load-pipeline.ts";
import { readSettings } from "./settings.ts";

export async function validate(
  named: string | undefined,
  { json }: { json: boolean },
  io: Io,
): Promise<number> {
  const settings = await readSettings(io);
  const file = findPipelineFile(io, named);
  try {
    const { pipeline } = await loadPipeline(file, settings.home);
    const summary = { file, digest: pipeline.digest, stages: pipeline.stages.map(({ id }) => id) };
    if (json) io.stdout(`${JSON.stringify({ schema: 1, ok: true, ...summary, problems: [] })}\n`);
    else io.stdout(`${file} is good: ${summary.stages.join(" → ")}\n`);
    return EXIT.complete;
  } catch (error) {
    if (!(error instanceof PipelineRefused) || !json) throw error;
    io.stdout(`${JSON.stringify({ schema: 1, ok: false, file, problems: error.problems })}\n`);
    return EXIT.usage;
  }
}
