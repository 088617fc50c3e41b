/** The verbs of whoever runs servers, and looks after what they did. */
import { Option } from "commander";

import { parseCount, pipelineOption } from "./command-maker.ts";
import type { CommandMaker, RunFlags } from "./command-maker.ts";

export function addServerCommands({ command, setCode, io }: CommandMaker): void {
  command("runner", "work on tickets until told to stop: the server")
    .addOption(pipelineOption())
    .addOption(
      new Option("--drain <seconds>", "at SIGTERM, what is under way may take so long")
        .default(60)
        .argParser(parseCount),
    )
    .option("--json", "logs as JSON lines")
    .option("--verbose", "more log lines")
    .action(async (flags: RunFlags & { drain: number }) => {
      const { runner } = await import("./runner.ts");
      const { pipeline, drain, json = false, verbose = false } = flags;
      setCode(await runner({ pipeline, drainMs: drain * 1000, json, verbose }, io));
    });
  command("emulator", "the cloud on loopback: a bucket, its events and queues, for trials")
    .addOption(new Option("--port <number>", "default: any").default(0).argParser(parseCount))
    .option("--dir <folder>", "where its state is kept; default: a new temporary folder")
    .action(async ({ port, dir }: { port: number; dir?: string }) => {
      const { emulator } = await import("./emulator.ts");
      setCode(await emulator({ port, dir }, io));
    });
  command("audit", "whether everything that was dropped is accounted for")
    .argument("[job...]", "jobs to look at; default: all")
    .option("--json", "one JSON object")
    .action(async (jobs: string[], flags: RunFlags) => {
      const { audit } = await import("./audit.ts");
      setCode(await audit(jobs, { json: flags.json ?? false }, io));
    });
  command("replay", "make a new run of an item, or of a job's items, by the pipeline in force")
    .argument("<job>[/item]", "as run-talk-1a2b3c4d/talk")
    .addOption(pipelineOption())
    .option("--from <stage>", "this stage and those after it run again, whatever is kept")
    .option("--json", "one JSON object")
    .action(async (target: string, flags: RunFlags & { from?: string }) => {
      const { replay } = await import("./replay.ts");
      const { pipeline, from, json = false } = flags;
      setCode(await replay(target, { pipeline, from, json }, io));
    });
  command("dead", "items that failed: list, or show JOB/ITEM")
    .argument("[what]", "list or show", "list")
    .argument("[item]", "as run-talk-1a2b3c4d/talk")
    .option("--json", "one JSON object")
    .action(async (what: string, item: string | undefined, flags: RunFlags) => {
      const { dead } = await import("./dead.ts");
      setCode(await dead(what, item, { json: flags.json ?? false }, io));
    });
}
