/** The verb that sets everything up. */
import type { CommandMaker } from "./command-maker.ts";

interface Flags {
  yes?: boolean;
  home?: string;
  user?: string;
  cloud?: boolean;
  local?: boolean;
  bucket?: string;
  endpoint?: string;
  account?: string;
  credentialsCommand?: string;
  service?: boolean;
  removeService?: boolean;
  json?: boolean;
}

export function addInitCommands({ command, setCode, io }: CommandMaker): void {
  command("init", "set up: a few questions, the settings, a check, and a login service if wanted")
    .option("--yes", "ask nothing: flags, the environment and what is set already have to do")
    .option("--home <folder>", "where inbox, results and state are; default ~/ClipScribe")
    .option("--user <name>", "your name in the store; default `me`")
    .option("--local", "everything on this computer")
    .option("--cloud", "servers do the work, through a bucket (R2, or any S3)")
    .option("--bucket <name>", "its name")
    .option("--account <id>", "Cloudflare's account id")
    .option("--endpoint <url>", "another S3, or R2 by its own address")
    .option("--credentials-command <line>", "prints credentials; instead of the bucket's keys")
    .option("--service", "start the agent whenever you log in (systemd --user, launchd)")
    .option("--no-service", "don't, and don't ask")
    .option("--remove-service", "take the login service away again")
    .option("--json", "one JSON object; as --yes")
    .addHelpText(
      "after",
      `
Secrets are asked for and not shown, or taken from the environment; each is
kept in a file that only you can read, and config.yaml says where. One that
lives in your system's keychain you write there yourself, as
  XAI_API_KEY: { command: [security, find-generic-password, -w, -s, xai] }

Examples:
  clipscribe init
  clipscribe init --yes --home ~/Videos/ClipScribe --service
  clipscribe init --yes --cloud --bucket news --account 0123… --user anna \\
    --credentials-command "ssh -o BatchMode=yes clipscribe@SERVER"
  clipscribe init --profile desk`,
    )
    .action(async (flags: Flags) => {
      const { init } = await import("./init.ts");
      const { yes = false, json = false, removeService = false, cloud, local, ...rest } = flags;
      const isCloud = cloud === true ? true : local === true ? false : undefined;
      setCode(await init({ ...rest, cloud: isCloud, yes: yes || json, json, removeService }, io));
    });
}
