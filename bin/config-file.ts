/**
 * The file of a person's settings: `~/.config/clipscribe/config.yaml`, or `config-NAME.yaml` of a
 * profile. A value is text, or says where it is kept: `{ file: PATH }`, or `{ command: [PROGRAM, …] }`
 * for a keychain. So the file itself can be shown and copied.
 */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";

import { z } from "zod";

import { ClipscribeError } from "../core/errors.ts";
import { UserId } from "../core/ids.ts";
import type { Io } from "./io.ts";

const MAX_CONFIG_BYTES = 64 * 1024;
const MAX_SECRET_BYTES = 16 * 1024;
/** A keychain may ask its owner. */
const COMMAND_TIMEOUT_MS = 60_000;

const Reference = z.union([
  z.strictObject({ file: z.string().min(1) }),
  z.strictObject({ command: z.array(z.string()).min(1).max(50) }),
]);

export interface ConfigPlace {
  /** Null: the one of whoever names none. */
  profile: string | null;
  /** Absolute. */
  file: string;
  /** Folder of the file, and of what it refers to. */
  dir: string;
}

/** @throws `config` for a profile's name that can't be one. */
export function findConfig(io: Pick<Io, "env">): ConfigPlace {
  const dir = join(io.env["XDG_CONFIG_HOME"] || join(homeOf(io), ".config"), "clipscribe");
  const profile = io.env["CLIPSCRIBE_PROFILE"] || null;
  if (profile !== null && !UserId.safeParse(profile).success) {
    throw new ClipscribeError("config", "a profile's name is of a-z, 0-9 and -", {
      details: { profile: profile.slice(0, 60) },
      hint: "choose a short name, as `desk` or `anna`",
    });
  }
  return {
    profile,
    dir,
    file: join(dir, profile === null ? "config.yaml" : `config-${profile}.yaml`),
  };
}

export function homeOf({ env }: Pick<Io, "env">): string {
  return env["HOME"] || homedir();
}

/** `~/` is the person's home; else relative to the working folder. */
export function resolvePath(io: Pick<Io, "env" | "cwd">, text: string): string {
  return resolve(io.cwd, text.startsWith("~/") ? join(homeOf(io), text.slice(2)) : text);
}

/** Undefined where there is no such file. @throws `config` for one that can't be understood. */
export async function readConfig(io: Io): Promise<Record<string, string> | undefined> {
  const { file } = findConfig(io);
  const text = readText(file);
  if (text === undefined) return undefined;
  const { parseYaml } = await import("./parse-yaml.ts");
  const problem = new ClipscribeError("config", "config.yaml must be a list of `NAME: value`", {
    details: { file },
    hint: "see `clipscribe config show` for the names",
  });
  if (text.length > MAX_CONFIG_BYTES) throw problem;
  let value: unknown;
  try {
    value = parseYaml(text) ?? {};
  } catch (cause) {
    throw new ClipscribeError("config", "config.yaml is no YAML", { details: { file }, cause });
  }
  if (typeof value !== "object" || Array.isArray(value)) throw problem;
  const entries = Object.entries(value as Record<string, unknown>);
  return Object.fromEntries(entries.map(([name, each]) => [name, readValue(io, name, each)]));
}

function readText(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    if ((error as { code?: string }).code === "ENOENT") return undefined;
    throw new ClipscribeError("config", "config.yaml can't be read", {
      details: { file },
      cause: error,
    });
  }
}

function readValue(io: Io, name: string, value: unknown): string {
  if (value === null || typeof value !== "object") return String(value ?? "");
  const reference = Reference.safeParse(value).data;
  if (reference === undefined) {
    throw new ClipscribeError("config", `config.yaml: ${name.slice(0, 60)} can't be understood`, {
      hint: "give text, { file: PATH } or { command: [PROGRAM, …] }",
    });
  }
  try {
    return "file" in reference ? readSecret(io, reference.file) : askCommand(io, reference.command);
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

function readSecret(io: Io, path: string): string {
  const { dir } = findConfig(io);
  const absolute = path.startsWith("~/") ? resolvePath(io, path) : resolve(dir, path);
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
