/** The command line: one definition for `--help`, and each verb loaded only when it is called. */
import { Command, CommanderError, InvalidArgumentError, Option } from "commander";

import { readVersion } from "./install.ts";
import type { ApproveOptions } from "./approve.ts";
import type { Io } from "./io.ts";

type RunFlags = {
  pipeline?: string;
  again?: boolean;
  budget?: number;
  json?: boolean;
  plain?: boolean;
  quiet?: boolean;
  verbose?: boolean;
};

/** Returns the exit code; prints what there is to say. */
export async function main(argv: readonly string[], io: Io): Promise<number> {
  let code = 0;
  const program = defineCommands(io, (result) => (code = result));
  try {
    await program.parseAsync([...argv], { from: "user" });
    return code;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    const { reportError } = await import("./report-error.ts");
    return reportError(error, io, argv.includes("--json"));
  }
}

function parseUsd(text: string): number {
  if (/^\$?\d+(?:\.\d+)?$/.test(text)) return Number(text.replace("$", ""));
  throw new InvalidArgumentError("give dollars, as 2 or 0.50");
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

function parseCount(text: string): number {
  if (/^\d{1,6}$/.test(text)) return Number(text);
  throw new InvalidArgumentError("give a whole number");
}

export function defineCommands(io: Io, setCode: (code: number) => void): Command {
  const program = new Command("clipscribe")
    .description("Turns videos into transcripts, people, claims and a report with checked quotes.")
    .version(readVersion(), "--version")
    .configureOutput({ writeOut: io.stdout, writeErr: io.stderr })
    .showSuggestionAfterError()
    .showHelpAfterError("(`clipscribe --help` lists the commands)")
    .exitOverride();
  const pipelineOption = (): Option => new Option("--pipeline <file>", "another pipeline.yaml");
  const command = (name: string, about: string): Command =>
    program
      .command(name)
      .description(about)
      .exitOverride()
      .configureOutput({ writeOut: io.stdout, writeErr: io.stderr });

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
      const { pipeline, again = false } = flags;
      setCode(await run(paths, { ...withDefaults(flags), pipeline, again }, io));
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
  command("validate", "check a pipeline file and its stages")
    .argument("[file]", "default: pipeline.yaml")
    .option("--json", "one JSON object")
    .action(async (file: string | undefined, flags: RunFlags) => {
      const { validate } = await import("./validate.ts");
      setCode(await validate(file, { json: flags.json ?? false }, io));
    });
  command("models", "what each model can do and costs, and which ones are used here")
    .addOption(pipelineOption())
    .option("--json", "one JSON object")
    .action(async (flags: RunFlags) => {
      const { models } = await import("./models.ts");
      setCode(await models({ json: flags.json ?? false, pipeline: flags.pipeline }, io));
    });
  command("verify", "check results by their files alone: hashes, quotes, graph")
    .argument("<folder...>", "results of an item, of a job, or all")
    .option("--json", "one JSON object")
    .action(async (folders: string[], flags: RunFlags) => {
      const { verify } = await import("./verify.ts");
      setCode(await verify(folders, { json: flags.json ?? false }, io));
    });
  command("doctor", "list the tools, their versions, and what is missing for what")
    .option("--json", "one JSON object")
    .action(async (flags: RunFlags) => {
      const { doctor } = await import("./doctor.ts");
      setCode(await doctor({ json: flags.json ?? false }, io));
    });
  command("new-stage", "make a stage of your own, with a test")
    .argument("<name>", "as `sentiment`")
    .action(async (name: string) => {
      const { newStage } = await import("./new-stage.ts");
      setCode(await newStage(name, io));
    });
  command("tour", "a first stage of your own, step by step").action(async () => {
    const { tour } = await import("./tour.ts");
    setCode(await tour(io));
  });
  command("config", "show the settings and where each comes from")
    .argument("[what]", "show", "show")
    .action(async () => {
      const { showConfig } = await import("./config.ts");
      setCode(await showConfig(io));
    });
  command("schema", "print a JSON Schema: of pipeline.yaml, or of a published file")
    .argument(
      "[what]",
      "pipeline, core, transcript, knowledge_graph, clips or manifest",
      "pipeline",
    )
    .action(async (what: string) => {
      const { schema } = await import("./schema.ts");
      schema(what, io);
    });
  command("completion", "print the completion script of a shell")
    .argument("<shell>", "bash, zsh or fish")
    .action(async (shell: string) => {
      const { completion } = await import("./completion.ts");
      setCode(await completion(shell, program, io));
    });
  command("man", "print the manual page").action(async () => {
    const { manual } = await import("./completion.ts");
    io.stdout(manual(program));
  });
  command("version", "print the version").action(() => io.stdout(`${readVersion()}\n`));
  return program;
}
