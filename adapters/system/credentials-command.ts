/**
 * Runs the command that prints fresh credentials of the bucket, in the form that AWS's tools call
 * `credential_process`, and reads them. No shell: words are separated by spaces. The child sees
 * none of our secrets.
 */
import { execFile } from "node:child_process";

import { z } from "zod";

import { ClipscribeError } from "../../core/errors.ts";

/** An ssh over a slow line. */
const TIMEOUT_MS = 30_000;
const MAX_OUTPUT_BYTES = 64 * 1024;
/** What ssh and the like need; nothing that holds a key of ours. */
const PASSED = [
  "PATH",
  "HOME",
  "USER",
  "LOGNAME",
  "LANG",
  "TMPDIR",
  "SSH_AUTH_SOCK",
  "XDG_CONFIG_HOME",
];

const Keys = z.object({
  AccessKeyId: z.string().min(1),
  SecretAccessKey: z.string().min(1),
  SessionToken: z.string().optional(),
  Expiration: z.iso.datetime({ offset: true }).optional(),
});
/** `Prefixes` is ours: others for what a user reads, or sees the names of, and never writes. */
const Printed = Keys.extend({
  Version: z.literal(1),
  Prefixes: z.record(z.string().min(1).max(100), Keys).default({}),
});

export interface CommandKeys {
  accessKeyId: string;
  secretAccessKey: string;
  sessionToken: string | undefined;
  expiresAt: Date | null;
}

export interface CommandCredentials extends CommandKeys {
  /** By prefix; all else is for the keys above. */
  prefixes: Readonly<Record<string, CommandKeys>>;
}

/** @throws `denied`: the command failed, took too long, or printed something else. */
export async function runCredentialsCommand(
  command: string,
  env: Readonly<Record<string, string | undefined>>,
): Promise<CommandCredentials> {
  const [program = "", ...args] = command.split(" ").filter((word) => word !== "");
  const passed = Object.fromEntries(PASSED.map((name) => [name, env[name]]));
  const { stdout, failure } = await run(program, args, passed);
  const printed = failure === null ? Printed.safeParse(parseJson(stdout)).data : undefined;
  if (printed === undefined) {
    throw new ClipscribeError("denied", "CLIPSCRIBE_CREDENTIALS_COMMAND gives no credentials", {
      details: { program, says: failure ?? "something that is no credentials" },
      hint: "run it by hand: it has to print what `clipscribe cloud credentials --user NAME --json` prints",
    });
  }
  const others = Object.entries(printed.Prefixes).map(([prefix, keys]) => [prefix, toKeys(keys)]);
  return {
    ...toKeys(printed),
    prefixes: Object.fromEntries(others) as CommandCredentials["prefixes"],
  };
}

async function run(
  program: string,
  args: readonly string[],
  env: Record<string, string | undefined>,
): Promise<{ stdout: string; failure: string | null }> {
  const options = { env, timeout: TIMEOUT_MS, maxBuffer: MAX_OUTPUT_BYTES, windowsHide: true };
  return new Promise((resolve) => {
    execFile(program, [...args], options, (error, stdout, stderr) => {
      // Never what it printed on stdout: that may be half of a secret.
      const said = stderr.trim().split("\n").at(-1)?.slice(0, 200) ?? "";
      const failure = error === null ? null : said || `it ended with ${error.code ?? error.signal}`;
      resolve({ stdout, failure });
    });
  });
}

function toKeys(keys: z.infer<typeof Keys>): CommandKeys {
  return {
    accessKeyId: keys.AccessKeyId,
    secretAccessKey: keys.SecretAccessKey,
    sessionToken: keys.SessionToken,
    expiresAt: keys.Expiration === undefined ? null : new Date(keys.Expiration),
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
