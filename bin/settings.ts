/** Reads the settings once: defaults < ~/.config/clipscribe/config.yaml < environment < flags. */
import { join } from "node:path";

import { ClipscribeError } from "../core/errors.ts";
import type { UserId } from "../core/ids.ts";
import { SETTINGS, resolveSettings } from "../core/settings.ts";
import type { ResolvedSetting } from "../core/settings.ts";
import { findConfig, readConfig, resolvePath } from "./config-file.ts";
import type { Io } from "./io.ts";

/** A bucket is farther away than a disk, and each write and listing costs. */
const SHARED_LEASE_MS = 30_000;
const SHARED_SWEEP_MS = 60_000;

export type StoreSetting = { kind: "disk"; path: string } | { kind: "r2" | "s3"; bucket: string };
export type QueueSetting = { kind: "sqlite"; file: string } | { kind: "cloudflare" | "poll" };

export interface Settings {
  /** Null: none is named. */
  profile: string | null;
  /** Absolute; whether it is there or not. */
  configFile: string;
  home: string;
  inbox: string;
  /** Originals after their hand-off, and what can't be used. */
  done: string;
  rejected: string;
  results: string;
  store: StoreSetting;
  queue: QueueSetting;
  user: UserId;
  leaseMs: number;
  sweepMs: number;
  stallMs: number;
  pollMs: number;
  settleMs: number;
  allowPrivateUrls: boolean;
  allowOldYtDlp: boolean;
  /** Providers reach the bucket where it is, though others may not. */
  allowPrivateStore: boolean;
  /** What a child of ours may be given some of. */
  childEnv: Io["env"];
  all: ReadonlyMap<string, ResolvedSetting>;
}

/** @throws `config` naming every bad value, and for a profile that there is not. */
export async function readSettings(io: Io): Promise<Settings> {
  const { profile, file: configFile } = findConfig(io);
  const config = await readConfig(io);
  if (config === undefined && profile !== null) {
    throw new ClipscribeError("config", `there is no profile \`${profile}\``, {
      details: { file: configFile },
      hint: `make it: clipscribe init --profile ${profile}`,
    });
  }
  return resolveAll(io, config ?? {});
}

/** What settings come to with this configuration; a profile has a home of its own. */
export function resolveAll(io: Io, config: Record<string, string>): Settings {
  const { profile, file: configFile } = findConfig(io);
  const environment = Object.fromEntries(SETTINGS.map(({ name }) => [name, io.env[name]]));
  const all = resolveSettings({ "config.yaml": config, environment, flag: {} });
  const value = (name: string): string | null => all.get(name)?.value ?? null;
  const path = (text: string): string => resolvePath(io, text);
  const home = all.get("CLIPSCRIBE_HOME");
  if (profile !== null && home?.from === "default") home.value = `~/ClipScribe-${profile}`;
  const root = path(value("CLIPSCRIBE_HOME") ?? "~/ClipScribe");
  const store = readStore(value("CLIPSCRIBE_STORE"), (folder) =>
    path(folder ?? join(root, "store")),
  );
  const isShared = store.kind !== "disk";
  const allowed = (value("CLIPSCRIBE_ALLOW_PRIVATE") ?? "").split(",");
  const ms = (name: string, shared: number): number =>
    isShared && all.get(name)?.from === "default" ? shared : Number(value(name));
  return {
    profile,
    configFile,
    home: root,
    inbox: path(value("CLIPSCRIBE_INBOX") ?? join(root, "inbox")),
    done: join(root, "done"),
    rejected: join(root, "rejected"),
    results: path(value("CLIPSCRIBE_RESULTS") ?? join(root, "results")),
    store,
    queue: readQueue(value("CLIPSCRIBE_QUEUE"), store, (file) =>
      path(file ?? join(root, "queue.db")),
    ),
    // Checked with all others: a bad one has thrown.
    user: value("CLIPSCRIBE_USER") as UserId,
    leaseMs: ms("CLIPSCRIBE_LEASE_MS", SHARED_LEASE_MS),
    stallMs: Number(value("CLIPSCRIBE_STALL_MS")),
    sweepMs: ms("CLIPSCRIBE_SWEEP_MS", SHARED_SWEEP_MS),
    pollMs: Number(value("CLIPSCRIBE_POLL_MS")),
    settleMs: Number(value("CLIPSCRIBE_SETTLE_MS")),
    allowPrivateUrls: allowed.includes("url"),
    allowOldYtDlp: value("CLIPSCRIBE_ALLOW_OLD_YT_DLP") === "yes",
    allowPrivateStore: allowed.includes("store"),
    childEnv: io.env,
    all,
  };
}

function readStore(
  text: string | null,
  pathOf: (folder: string | undefined) => string,
): StoreSetting {
  const [kind = "disk", ...rest] = (text ?? "disk:").split(":");
  const name = rest.join(":");
  if (kind === "r2" || kind === "s3") return { kind, bucket: name };
  return { kind: "disk", path: pathOf(name === "" ? undefined : name) };
}

/** @throws `config` for a queue that the store can't have. */
function readQueue(
  text: string | null,
  store: StoreSetting,
  pathOf: (file: string | undefined) => string,
): QueueSetting {
  const isLocal = store.kind === "disk";
  const named = text ?? (isLocal ? "sqlite:" : "poll");
  if (isLocal !== named.startsWith("sqlite:")) {
    throw new ClipscribeError("config", "this queue does not hear of that store's tickets", {
      details: { store: store.kind, queue: named.split(":")[0] },
      hint: "disk goes with sqlite; r2 with cloudflare or poll; s3 with poll",
    });
  }
  if (named === "cloudflare" || named === "poll") return { kind: named };
  const file = named.slice("sqlite:".length);
  return { kind: "sqlite", file: pathOf(file === "" ? undefined : file) };
}
