/** Reads the settings once: defaults < ~/.config/clipscribe/config.yaml < environment < flags. */
import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";

import { ClipscribeError } from "../core/errors.ts";
import { UserId } from "../core/ids.ts";
import { SETTINGS, resolveSettings } from "../core/settings.ts";
import type { ResolvedSetting } from "../core/settings.ts";
import type { Io } from "./io.ts";

const MAX_CONFIG_BYTES = 64 * 1024;

export interface Settings {
  home: string;
  results: string;
  store: string;
  queue: string;
  user: UserId;
  leaseMs: number;
  sweepMs: number;
  allowPrivateUrls: boolean;
  all: ReadonlyMap<string, ResolvedSetting>;
}

export async function readSettings(io: Io): Promise<Settings> {
  const home = io.env["HOME"] ?? homedir();
  const environment = Object.fromEntries(SETTINGS.map(({ name }) => [name, io.env[name]]));
  const configDir = io.env["XDG_CONFIG_HOME"] ?? join(home, ".config");
  const file = join(configDir, "clipscribe", "config.yaml");
  const all = resolveSettings({ "config.yaml": await readConfig(file), environment, flag: {} });
  const value = (name: string): string | null => all.get(name)?.value ?? null;
  const path = (text: string): string =>
    resolve(io.cwd, text.startsWith("~/") ? join(home, text.slice(2)) : text);
  const root = path(value("CLIPSCRIBE_HOME") ?? "~/ClipScribe");
  return {
    home: root,
    results: path(value("CLIPSCRIBE_RESULTS") ?? join(root, "results")),
    store: path((value("CLIPSCRIBE_STORE") ?? `disk:${join(root, "store")}`).slice("disk:".length)),
    queue: path(
      (value("CLIPSCRIBE_QUEUE") ?? `sqlite:${join(root, "queue.db")}`).slice("sqlite:".length),
    ),
    user: UserId.parse(value("CLIPSCRIBE_USER")),
    leaseMs: Number(value("CLIPSCRIBE_LEASE_MS")),
    sweepMs: Number(value("CLIPSCRIBE_SWEEP_MS")),
    allowPrivateUrls: (value("CLIPSCRIBE_ALLOW_PRIVATE") ?? "").includes("url"),
    all,
  };
}

async function readConfig(file: string): Promise<Record<string, string>> {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    if ((error as { code?: string }).code === "ENOENT") return {};
    throw new ClipscribeError("config", "config.yaml can't be read", {
      details: { file },
      cause: error,
    });
  }
  const { parse } = await import("yaml");
  const problem = new ClipscribeError("config", "config.yaml must be a list of `NAME: value`", {
    details: { file },
    hint: "see `clipscribe config show` for the names",
  });
  if (text.length > MAX_CONFIG_BYTES) throw problem;
  let value: unknown;
  try {
    value = parse(text, { maxAliasCount: 0 }) ?? {};
  } catch (cause) {
    throw new ClipscribeError("config", "config.yaml is no YAML", { details: { file }, cause });
  }
  if (typeof value !== "object" || Array.isArray(value)) throw problem;
  const entries = Object.entries(value as Record<string, unknown>);
  return Object.fromEntries(entries.map(([name, each]) => [name, String(each)]));
}
