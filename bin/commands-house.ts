/** The verbs that look at the pipeline, the tools and the settings. */
import type { Command } from "commander";

import { pipelineOption } from "./command-maker.ts";
import type { CommandMaker, RunFlags } from "./command-maker.ts";
import { readVersion } from "./install.ts";

export function addHouseCommands({ command, setCode, io }: CommandMaker, program: Command): void {
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
}
