/** The verbs of whoever hands over many files, and looks after what became of them. */
import { InvalidArgumentError, Option } from "commander";
import type { Command } from "commander";

import { parseCount, parseUsd, pipelineOption } from "./command-maker.ts";
import type { CommandMaker, RunFlags } from "./command-maker.ts";

type Json = { json?: boolean };
type Look = Json & { plain?: boolean };
type SubmitFlags = RunFlags & { vps?: boolean; urgent?: boolean; notify?: string };

const JOB = "its id, or the end of it, as 7f3a";
const json = (): Option => new Option("--json", "one JSON object");
const plain = (): Option => new Option("--plain", "no redrawing: for logs and screen readers");

export function addBatchCommands({ command, setCode, io }: CommandMaker): void {
  const batch = command("batch", "hand over many files or links, and follow them").addHelpText(
    "after",
    `
Examples:
  clipscribe batch submit urls.txt --vps --notify me@example.org
  clipscribe batch status 7f3a --watch
  clipscribe batch fetch 7f3a --output-dir results/`,
  );

  addSubmit(batch, { setCode, io });

  batch
    .command("list")
    .description("the latest jobs")
    .addOption(
      new Option("--recent <count>", "how many, newest first").default(10).argParser(parseCount),
    )
    .addOption(json())
    .action(async (flags: Json & { recent: number }) => {
      const { batchList } = await import("./batch-list.ts");
      setCode(await batchList({ recent: flags.recent, json: flags.json ?? false }, io));
    });

  batch
    .command("status")
    .description("how a job stands: its items, what they cost, what needs you")
    .argument("[job]", JOB)
    .option("--job-id <job>", "the same, for scripts")
    .option("--watch", "stay, and show what changes, until every item has ended or is held")
    .addOption(json())
    .addOption(plain())
    .addHelpText(
      "after",
      `
Exit code: 0 under way, or all complete; 4 partial, 5 failed, 6 held for you.

Examples:
  clipscribe batch status 20261123-2041-council-meeting-7f3a
  clipscribe batch status 7f3a --watch
  clipscribe batch status --job-id 7f3a --json`,
    )
    .action(async (name: string | undefined, flags: Look & { jobId?: string; watch?: boolean }) => {
      const { batchStatus } = await import("./batch-status.ts");
      const { jobId, watch = false, json: isJson = false, plain: isPlain = false } = flags;
      setCode(await batchStatus([name, jobId], { watch, json: isJson, plain: isPlain }, io));
    });

  batch
    .command("fetch")
    .description("bring the results of a job into a folder; again is harmless")
    .argument("[job]", JOB)
    .option("--job-id <job>", "the same, for scripts")
    .option("--output-dir <folder>", "default: the results folder")
    .addOption(json())
    .addOption(plain())
    .addHelpText(
      "after",
      `
A result appears whole, by one rename, after every file's SHA-256 was checked.
What you changed in it stays beside, as ITEM.mine. Works on any computer with
access to the bucket.

Examples:
  clipscribe batch fetch 7f3a
  clipscribe batch fetch 7f3a --output-dir results/`,
    )
    .action(
      async (name: string | undefined, flags: Look & { jobId?: string; outputDir?: string }) => {
        const { batchFetch } = await import("./batch-fetch.ts");
        const { jobId, outputDir, json: isJson = false, plain: isPlain = false } = flags;
        const options = { outputDir: outputDir ?? null, json: isJson, plain: isPlain };
        setCode(await batchFetch([name, jobId], options, io));
      },
    );

  addControls(batch, { setCode, io });
}

function addSubmit(batch: Command, { setCode, io }: Omit<CommandMaker, "command">): void {
  batch
    .command("submit")
    .description(
      "hand over files, folders, lists of links, or links; ends when each has its ticket",
    )
    .argument("<what...>", "media, folders, .txt .urls .csv .url .webloc lists, https://… links")
    .option("--vps", "servers do the work: refuse where no cloud is set up")
    .option("--urgent", "before all that is not urgent")
    .addOption(
      new Option("--notify <email>", "is told when the job has ended").argParser(parseEmail),
    )
    .addOption(
      new Option(
        "--budget <usd>",
        "what the job may cost in all; default: pipeline.yaml",
      ).argParser(parseUsd),
    )
    .option("--again", "make a new job of what was handed over before")
    .option("--keep-video", "download and send the picture too, though only the sound is needed")
    .addOption(pipelineOption())
    .option("--json", "one JSON object a line on stdout, logs on stderr")
    .addOption(plain())
    .option("--quiet", "only the job's id")
    .option("--verbose", "more log lines on stderr")
    .addHelpText(
      "after",
      `
It says the price and the time first, and goes on unless that is over the
budget. Cut off anywhere, the same command goes on with the same job.

Exit code: 0 all handed off, 4 some could not be, 3 or 5 none, 6 over the
budget (nothing was begun), 8 out of reach.

Examples:
  clipscribe batch submit urls.txt --vps --notify me@example.org
  clipscribe batch submit ~/Videos/council --budget 10
  clipscribe batch submit talk.mp4 https://example.org/watch?v=x --urgent`,
    )
    .action(async (what: string[], flags: SubmitFlags) => {
      const { batchSubmit } = await import("./batch-submit.ts");
      const { vps, urgent, notify, budget, again, keepVideo, pipeline, ...shown } = flags;
      const options = {
        vps: vps ?? false,
        lane: urgent === true ? ("urgent" as const) : ("batch" as const),
        notify: notify ?? null,
        budget: budget ?? null,
        again: again ?? false,
        keepVideo: keepVideo ?? false,
        pipeline,
        json: shown.json ?? false,
        plain: shown.plain ?? false,
        quiet: shown.quiet ?? false,
        verbose: shown.verbose ?? false,
      };
      setCode(await batchSubmit(what, options, io));
    });
}

function parseEmail(text: string): string {
  // As DropOptions has it; the check is here so that the flag is named.
  if (/^[^\s@"'<>,;:]+@[^\s@"'<>,;:]+\.[a-z]{2,}$/i.test(text)) return text;
  throw new InvalidArgumentError("give one address, as me@example.org");
}

function addControls(batch: Command, { setCode, io }: Omit<CommandMaker, "command">): void {
  const verbs = [
    ["cancel", "stop a job: what is under way ends, what is published stays"],
    ["pause", "let the stages under way end, then hold the job"],
    ["resume", "let a job go on that was paused, cancelled, or held for anything but money"],
  ] as const;
  for (const [verb, about] of verbs) {
    batch
      .command(verb)
      .description(about)
      .argument("<job>", JOB)
      .addOption(json())
      .addHelpText("after", `\nExample:\n  clipscribe batch ${verb} 7f3a`)
      .action(async (job: string, flags: Json) => {
        const { batchControl } = await import("./batch-control.ts");
        setCode(await batchControl(verb, job, { json: flags.json ?? false }, io));
      });
  }
  batch
    .command("approve")
    .description("let items that were held for money go on, and pay for them")
    .argument("<job>", JOB)
    .addOption(
      new Option(
        "--budget <usd>",
        "what each item may cost; default: its estimate and a quarter",
      ).argParser(parseUsd),
    )
    .addOption(json())
    .addHelpText(
      "after",
      "\nExamples:\n  clipscribe batch approve 7f3a\n  clipscribe batch approve 7f3a --budget 2.50",
    )
    .action(async (job: string, flags: Json & { budget?: number }) => {
      const { batchApprove } = await import("./batch-control.ts");
      const options = { budget: flags.budget ?? null, json: flags.json ?? false };
      setCode(await batchApprove(job, options, io));
    });
}
