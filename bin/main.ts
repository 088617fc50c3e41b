/** The command line: one definition for `--help`, and each verb loaded only when it is called. */
import { Command, CommanderError } from "commander";

import { addBatchCommands } from "./commands-batch.ts";
import { addCloudCommands } from "./commands-cloud.ts";
import { addHouseCommands } from "./commands-house.ts";
import { addInitCommands } from "./commands-init.ts";
import { addLaptopCommands } from "./commands-laptop.ts";
import { addMailCommands } from "./commands-mail.ts";
import { addPipelineCommands } from "./commands-pipeline.ts";
import { addServerCommands } from "./commands-server.ts";
import { addWorkCommands } from "./commands-work.ts";
import { readVersion } from "./install.ts";
import type { Io } from "./io.ts";

/** Returns the exit code; prints what there is to say. */
export async function main(argv: readonly string[], systemIo: Io): Promise<number> {
  let code = 0;
  const io = { ...systemIo };
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

export function defineCommands(io: Io, setCode: (code: number) => void): Command {
  const program = new Command("clipscribe")
    .description("Turns videos into transcripts, people, claims and a report with checked quotes.")
    .version(readVersion(), "--version")
    .configureOutput({ writeOut: io.stdout, writeErr: io.stderr })
    .option("--profile <name>", "settings and folders of that name (CLIPSCRIBE_PROFILE)")
    .hook("preAction", (_, command) => {
      const { profile } = command.optsWithGlobals<{ profile?: string }>();
      if (profile !== undefined) io.env = { ...io.env, CLIPSCRIBE_PROFILE: profile };
    })
    .showSuggestionAfterError()
    .showHelpAfterError("(`clipscribe --help` lists the commands)")
    .exitOverride();
  const command = (name: string, about: string): Command =>
    program
      .command(name)
      .description(about)
      .exitOverride()
      .configureOutput({ writeOut: io.stdout, writeErr: io.stderr });
  const maker = { command, setCode, io };
  addWorkCommands(maker);
  addBatchCommands(maker);
  addLaptopCommands(maker);
  addInitCommands(maker);
  addServerCommands(maker);
  addMailCommands(maker);
  addCloudCommands(maker);
  addPipelineCommands(maker);
  addHouseCommands(maker, program);
  return program;
}
