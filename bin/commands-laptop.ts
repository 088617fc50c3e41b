/** The verbs of the laptop: the agent. */
import { pipelineOption } from "./command-maker.ts";
import type { CommandMaker, RunFlags } from "./command-maker.ts";

export function addLaptopCommands({ command, setCode, io }: CommandMaker): void {
  command("up", "watch the inbox: hand off what is dropped, bring the results, until told to stop")
    .addOption(pipelineOption())
    .option("--json", "one JSON object a line on stdout, logs on stderr")
    .option("--plain", "no redrawing: for logs and screen readers")
    .option("--verbose", "more log lines on stderr")
    .addHelpText(
      "after",
      `
Examples:
  clipscribe up                            everything on this machine; drop files into ~/ClipScribe/inbox
  CLIPSCRIBE_HOME=~/Desk/Clips clipscribe up    another folder, with an inbox of its own
  CLIPSCRIBE_STORE=r2:BUCKET clipscribe up      servers do the work; the lid may be closed when it says so

Beside talk.mp4 may lie:  talk.en.vtt (captions)   talk.mp4.yaml (budget, lane, again, keep_video, notify)
                          talk.mp4.done (an empty file: its writer says that talk.mp4 is whole)
Exit code: 0 told to stop; 2 settings or pipeline.yaml; 8 another one works on the folder, or it can't be used.
`,
    )
    .action(async (flags: RunFlags) => {
      const { up } = await import("./up.ts");
      const { pipeline, json = false, plain = false, verbose = false } = flags;
      setCode(await up({ pipeline, json, plain, verbose }, io));
    });
}
