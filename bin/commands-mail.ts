/** The verbs of messages: who is told of finished jobs. */
import type { CommandMaker } from "./command-maker.ts";

type Flags = { json?: boolean; email?: string; webhook?: string };

export function addMailCommands({ command, setCode, io }: CommandMaker): void {
  const notify = command("notify", "messages of finished jobs: try them, send what waits");
  notify
    .command("test")
    .description("send a test message now; default: to whom the settings name")
    .option("--email <address>", "to this mail address")
    .option("--webhook <address>", "to this https:// address")
    .option("--json", "one JSON object")
    .addHelpText(
      "after",
      `
Exit code: 0 sent; 2 something is not set up; 3 refused for good; 8 not reachable or denied.

Examples:
  clipscribe notify test --email me@example.org
  clipscribe notify test --webhook https://example.org/hooks/clipscribe`,
    )
    .action(async ({ json = false, ...to }: Flags) => {
      const { notifyTest } = await import("./notify.ts");
      setCode(await notifyTest(to, { json }, io));
    });
  notify
    .command("list")
    .description("messages that wait, and those that can't be delivered, with the reason")
    .option("--json", "one JSON object")
    .action(async ({ json = false }: Flags) => {
      const { notifyList } = await import("./notify.ts");
      setCode(await notifyList({ json }, io));
    });
  notify
    .command("send")
    .description("send now what waits; with a job, also what was refused")
    .argument("[job]", "its id")
    .option("--json", "one JSON object")
    .action(async (job: string | undefined, { json = false }: Flags) => {
      const { notifySend } = await import("./notify.ts");
      setCode(await notifySend(job, { json }, io));
    });
}
