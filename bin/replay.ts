/** `clipscribe replay JOB[/ITEM]`: the ticket of a next run, under the pipeline in force. */
import { systemClock } from "../adapters/system/system-clock.ts";
import { ClipscribeError } from "../core/errors.ts";
import { EXIT } from "../core/exit-codes.ts";
import { isForced } from "../core/plan.ts";
import { replayItems } from "../sync/replay-items.ts";
import { openMachine } from "./compose.ts";
import type { Io } from "./io.ts";
import { readTarget } from "./item-target.ts";
import { openLog } from "./log.ts";
import { loadPipelineInForce } from "./pipelines-in-force.ts";
import { readSettings } from "./settings.ts";

export async function replay(
  target: string,
  flags: { pipeline: string | undefined; from: string | undefined; json: boolean },
  io: Io,
): Promise<number> {
  const settings = await readSettings(io);
  const log = openLog({ write: io.stderr, format: flags.json ? "json" : "text", level: "warn" });
  await using machine = await openMachine(io, settings, log);
  const { store, isShared } = machine;
  const source = { io, settings, store, isShared, named: flags.pipeline };
  const { pipeline } = await loadPipelineInForce(source);
  const { job, item } = readTarget(target);
  const { from } = flags;
  if (from !== undefined && pipeline.stages.every(({ id }) => id !== from)) {
    throw new ClipscribeError("config", `there is no stage \`${from}\``, {
      hint: `name one of ${pipeline.stages.map(({ id }) => id).join(", ")}`,
    });
  }
  const replayed = await replayItems(machine.store, systemClock, {
    user: settings.user,
    job,
    item,
    pipelineDigest: pipeline.digest,
    fromStage: from ?? null,
    anew: new Set(
      pipeline.stages.flatMap(({ id }) =>
        isForced(from ?? null, pipeline.stages, id) ? [id] : [],
      ),
    ),
  });
  if (flags.json) io.stdout(`${JSON.stringify({ schema: 1, job_id: job, items: replayed })}\n`);
  else {
    for (const each of replayed) io.stdout(`${job}/${each.item}: run ${each.run} waits\n`);
    if (!machine.isShared && replayed.length > 0) {
      io.stdout("`clipscribe runner` takes them up, and `clipscribe run` with the same files\n");
    }
    if (replayed.length === 0) io.stdout("nothing is to be replayed: all are under way\n");
  }
  return EXIT.complete;
}
