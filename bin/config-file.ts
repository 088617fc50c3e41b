/**
 * The file of a person's settings: `~/.config/clipscribe/config.yaml`, or `config-NAME.yaml` of a
 * profile. A value is text, or says where it is kept: `{ file: PATH }`, or `{ command: [PROGRAM, …] }`
 * for a keychain. So the file itself can be shown and copied.
 */
import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";

import { ClipscribeError } from "../core/errors.ts";
import { isUserId } from "../core/id-pattern.ts";
import type { Io } from "./io.ts";

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
  if (profile !== null && !isUserId(profile)) {
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
  // Most have none, and need not wait for what reads one.
  const { parseConfig } = await import("./parse-config.ts");
  return parseConfig(io, file, text);
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
