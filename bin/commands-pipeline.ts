/** The verbs of whoever says what servers and laptops do with what is dropped. */
import type { CommandMaker } from "./command-maker.ts";
import type { PipelineVerb } from "./pipeline.ts";

const VERBS: [verb: PipelineVerb, argument: string, about: string][] = [
  ["check", "[file]", "is pipeline.yaml good, and what would a push change?"],
  ["push", "[file]", "put pipeline.yaml in force for everything that is dropped from now on"],
  ["list", "", "what is and was in force, by whom and since when"],
  ["rollback", "[digest]", "put an earlier one in force again; default: the one before"],
];

export function addPipelineCommands({ command, setCode, io }: CommandMaker): void {
  const group = command(
    "pipeline",
    "push pipeline.yaml to the bucket, for servers and laptops",
  ).addHelpText(
    "after",
    "\nExamples:\n  clipscribe pipeline check\n  clipscribe pipeline push\n  clipscribe pipeline rollback",
  );
  for (const [verb, argument, about] of VERBS) {
    const sub = group.command(verb).description(about).option("--json", "one JSON object");
    if (argument !== "") sub.argument(argument);
    sub.action(async (...given: unknown[]) => {
      const [named, flags] = argument === "" ? [undefined, given[0]] : [given[0], given[1]];
      const { pipelineVerb } = await import("./pipeline.ts");
      const { json = false } = flags as { json?: boolean };
      setCode(await pipelineVerb(verb, named as string | undefined, { json }, io));
    });
  }
}
