/** The verbs that put files through the pipeline. */
import { Option } from "commander";

import type { ApproveOptions } from "./approve.ts";
import { notifyOption, parseUsd, pipelineOption } from "./command-maker.ts";
import type { CommandMaker, RunFlags } from "./command-maker.ts";

export function addWorkCommands({ command, setCode, io }: CommandMaker): void {
  command("run", "process files, folders or lists of URLs now")
    .argument("<path...>", "media files, folders, or .txt lists of URLs")
    .addOption(pipelineOption())
    .addOption(
      new Option(
        "--budget <usd>",
        "what each item may cost; goes on with items held for money",
      ).argParser(parseUsd),
    )
    .option("--again", "make a new run of what is done already")
    .addOption(notifyOption())
    .option("--keep-video", "with a bucket: send the original as well, not only what servers read")
    .option("--json", "one JSON object a line on stdout, logs on stderr")
    .option("--plain", "no redrawing: for logs and screen readers")
    .option("--quiet", "only the path of the report")
    .option("--verbose", "more log lines on stderr")
    .action(async (paths: string[], flags: RunFlags) => {
      const { reportNothingToDo } = await import("./nothing-to-do.ts");
      const { pipeline: file } = flags;
      const look = { pipeline: file, json: flags.json ?? false, quiet: flags.quiet ?? false };
      const nothing = flags.again === true ? undefined : await reportNothingToDo(paths, look, io);
      if (nothing !== undefined) return setCode(nothing);
      const { run } = await import("./run.ts");
      const { pipeline, again = false, keepVideo = false, notify } = flags;
      const options = { ...withDefaults(flags), pipeline, again, keepVideo, notify };
      setCode(await run(paths, options, io));
    });
  command("plan", "say what would run, what would be reused, and why")
    .argument("<path...>", "media files, folders, or .txt lists of URLs")
    .addOption(pipelineOption())
    .option("--json", "one JSON object")
    .action(async (paths: string[], flags: RunFlags) => {
      const { plan } = await import("./plan.ts");
      setCode(await plan(paths, { pipeline: flags.pipeline, json: flags.json ?? false }, io));
    });
  command("approve", "let what is held for money go on, and pay for it")
    .argument("<job>", "the job's id, as run-talk-1a2b3c4d")
    .addOption(pipelineOption())
    .addOption(
      new Option(
        "--budget <usd>",
        "what each item may cost; default: its estimate and a quarter",
      ).argParser(parseUsd),
    )
    .option("--json", "one JSON object a line on stdout, logs on stderr")
    .option("--plain", "no redrawing: for logs and screen readers")
    .option("--quiet", "only the path of the report")
    .option("--verbose", "more log lines on stderr")
    .action(async (job: string, flags: RunFlags) => {
      const { approve } = await import("./approve.ts");
      setCode(await approve(job, { ...withDefaults(flags), pipeline: flags.pipeline }, io));
    });
}

function withDefaults({ budget, json, plain, quiet, verbose }: RunFlags): ApproveOptions {
  return {
    budget: budget ?? null,
    json: json ?? false,
    plain: plain ?? false,
    quiet: quiet ?? false,
    verbose: verbose ?? false,
  };
}
