/** What a config.yaml says: text, or where the text is kept. Loaded only where there is one. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";

import { parse } from "yaml";
import { z } from "zod";

import { ClipscribeError } from "../core/errors.ts";
import { homeOf, resolvePath } from "./config-file.ts";
import type { Io } from "./io.ts";

const MAX_CONFIG_BYTES = 64 * 1024;
const MAX_SECRET_BYTES = 16 * 1024;
/** A keychain may ask its owner. */
const COMMAND_TIMEOUT_MS = 60_000;

const Reference = z.union([
  z.strictObject({ file: z.string().min(1) }),
  z.strictObject({ command: z.array(z.string()).min(1).max(50) }),
]);

/** @throws `config` for a text that can't be understood, and for a value that can't be read. */
export function parseConfig(io: Io, file: string, text: string): Record<string, string> {
  const problem = new ClipscribeError("config", "config.yaml must be a list of `NAME: value`", {
    details: { file },
    hint: "see `clipscribe config show` for the names",
  });
  if (text.length > MAX_CONFIG_BYTES) throw problem;
  let value: unknown;
  try {
    value = (parse(text, { maxAliasCount: 0 }) as unknown) ?? {};
  } catch (cause) {
    throw new ClipscribeError("config", "config.yaml is no YAML", { details: { file }, cause });
  }
  if (typeof value !== "object" || Array.isArray(value)) throw problem;
  const entries = Object.entries(value as Record<string, unknown>);
  return Object.fromEntries(entries.map(([name, each]) => [name, readValue(io, file, name, each)]));
}

function readValue(io: Io, file: string, name: string, value: unknown): string {
  if (value === null || typeof value !== "object") return String(value ?? "");
  const reference = Reference.safeParse(value).data;
  if (reference === undefined) {
    throw new ClipscribeError("config", `config.yaml: ${name.slice(0, 60)} can't be understood`, {
      hint: "give text, { file: PATH } or { command: [PROGRAM, …] }",
    });
  }
  try {
    return "file" in reference
      ? readSecret(io, file, reference.file)
      : askCommand(io, reference.command);
  } catch (cause) {
    const where = "file" in reference ? reference.file : reference.command[0];
    throw new ClipscribeError(
      "config",
      `${name.slice(0, 60)} can't be read from where it is kept`,
      {
        details: { where },
        hint: "`clipscribe init` keeps it anew",
        cause,
      },
    );
  }
}

function readSecret(io: Io, config: string, path: string): string {
  const absolute = path.startsWith("~/") ? resolvePath(io, path) : resolve(dirname(config), path);
  return readFileSync(absolute, "utf8").slice(0, MAX_SECRET_BYTES).trim();
}

function askCommand(io: Io, [program = "", ...args]: string[]): string {
  const said = execFileSync(program, args, {
    encoding: "utf8",
    env: { PATH: io.env["PATH"], HOME: homeOf(io) },
    maxBuffer: MAX_SECRET_BYTES,
    stdio: ["ignore", "pipe", "ignore"],
    timeout: COMMAND_TIMEOUT_MS,
  });
  return said.trim();
}
