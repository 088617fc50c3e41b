/**
 * `clipscribe init`: a few questions, then the person's config.yaml, a check of what it names, and a
 * login service if wanted. What is there stays; what would change is shown first.
 */
import { randomUUID } from "node:crypto";
import { join } from "node:path";

import { ClipscribeError, asClipscribeError, toErrorRecord } from "../core/errors.ts";
import { EXIT, exitCodeOfKind } from "../core/exit-codes.ts";
import { parseObjectKey } from "../core/keys.ts";
import { openQuestioner } from "./ask.ts";
import type { Questioner } from "./ask.ts";
import { assertConditions } from "./assert-conditions.ts";
import { openBackend } from "./backend.ts";
import { describeEdit, editConfig, readConfigText, writePrivate } from "./config-edit.ts";
import type { ConfigChange } from "./config-edit.ts";
import { findConfig, readConfig, resolvePath } from "./config-file.ts";
import { answerByAsking, answerByFlags, isSecretSetting } from "./init-answers.ts";
import type { Answers, InitFlags } from "./init-answers.ts";
import { doctor } from "./doctor.ts";
import type { Io } from "./io.ts";
import { openLog } from "./log.ts";
import { makeFolder } from "./make-folder.ts";
import { installService, removeService } from "./service-install.ts";
import { readSettings, resolveAll } from "./settings.ts";
import type { Settings } from "./settings.ts";
import { hangText } from "./ui/wrap-text.ts";

export interface InitOptions extends InitFlags {
  yes: boolean;
  json: boolean;
  removeService: boolean;
}

export async function init(options: InitOptions, io: Io): Promise<number> {
  const place = findConfig(io);
  if (options.removeService) {
    const removed = removeService(io, place.profile);
    if (options.json) io.stdout(`${JSON.stringify({ schema: 1, service: removed })}\n`);
    else io.stdout(removed.said);
    return EXIT.complete;
  }
  const person = options.yes || options.json ? undefined : openQuestioner(io);
  if (person === undefined && !options.yes) throw notATerminal();
  const config = (await readConfig(io)) ?? {};
  const known = (name: string): string | null => io.env[name] || config[name] || null;
  const now = resolveAll(io, config);
  const defaults = {
    home: lasting(io, now.all.get("CLIPSCRIBE_HOME")?.value ?? "~/ClipScribe"),
    isCloud: now.store.kind !== "disk",
  };
  const flags = { ...options, home: options.home && lasting(io, options.home) };
  const answers =
    person === undefined
      ? answerByFlags(flags, known, defaults)
      : await answerByAsking(person, flags, known, defaults);
  const secrets = planSecrets(answers, place, config);
  const edit = editConfig(readConfigText(place.file), { ...plainOf(answers), ...secrets.change });
  // A value that can't be is found before anything is written.
  resolveAll(io, { ...config, ...textsOf(answers) });
  const lines = describeEdit(edit);
  if (!options.json) {
    io.stdout(`${place.file}\n`);
    const isEmpty = lines.length === 0 && secrets.files.length === 0;
    io.stdout(isEmpty ? "  stays as it is\n" : lines.map((line) => `  ${line}\n`).join(""));
  }
  if (person !== undefined && lines.length > 0 && !(await person.confirm("Write this", true))) {
    throw new ClipscribeError("cancelled", "nothing was changed");
  }
  for (const { file, text } of secrets.files) writePrivate(file, `${text}\n`);
  if (lines.length > 0) writePrivate(place.file, edit.after);
  return finish(options, answers, person, io);
}

/** Everything is written: makes the folders, looks whether it works, and starts the service. */
async function finish(
  { json }: InitOptions,
  { service: isWanted }: Answers,
  person: Questioner | undefined,
  io: Io,
): Promise<number> {
  const settings = await readSettings(io);
  for (const folder of [settings.home, settings.inbox, settings.results]) makeFolder(folder);
  const trouble = await checkStore(settings, io);
  const service = isWanted ? installService(io, settings) : null;
  const code =
    trouble !== null
      ? exitCodeOfKind(trouble.kind)
      : service?.state === "written"
        ? EXIT.unreachable
        : EXIT.complete;
  if (json) {
    const store = trouble === null ? { state: "good" } : { state: "bad", error: trouble };
    const { configFile: config, home } = settings;
    io.stdout(`${JSON.stringify({ schema: 1, config, home, store, service })}\n`);
    return code;
  }
  io.stdout(`folder  ${settings.home}\n`);
  if (trouble === null) io.stdout(`store   good: ${describeStore(settings)}\n`);
  else {
    io.stdout(hangText("store   ", trouble.message, io));
    if (trouble.hint !== null) io.stdout(hangText("        ", trouble.hint, io));
  }
  io.stdout(service === null ? "" : service.said);
  if (person !== undefined) await doctor({ json: false }, io);
  if (code === EXIT.complete) {
    const next = service === null ? "start the agent: clipscribe up" : "the agent runs";
    io.stdout(`${next}; then drop a video into ${settings.inbox}\n`);
  }
  return code;
}

async function checkStore(
  settings: Settings,
  io: Io,
): Promise<ReturnType<typeof toErrorRecord> | null> {
  const log = openLog({ write: io.stderr, format: "text", level: "error" });
  try {
    await using backend = await openBackend(settings, log);
    const key = parseObjectKey(`cache/${settings.user}/probe-${randomUUID()}`);
    await assertConditions(backend.store, key);
    return null;
  } catch (error) {
    return toErrorRecord(asClipscribeError(error));
  }
}

function describeStore({ store, all }: Settings): string {
  if (store.kind === "disk") return `a folder of this computer, ${store.path}`;
  return `bucket ${store.bucket} at ${all.get("R2_ENDPOINT")?.value ?? ""}; its conditions hold`;
}

/** Each secret gets a file of its own; config.yaml says where. One that is kept already stays there. */
function planSecrets(
  { settings }: Answers,
  { dir, profile }: ReturnType<typeof findConfig>,
  config: Record<string, string>,
): { change: ConfigChange; files: { file: string; text: string }[] } {
  const change: ConfigChange = {};
  const files: { file: string; text: string }[] = [];
  for (const [name, value] of Object.entries(settings)) {
    if (!isSecretSetting(name) || value === null || config[name] === value) continue;
    const file = join("keys", `${profile === null ? "" : `${profile}-`}${name}`);
    change[name] = { file };
    files.push({ file: join(dir, file), text: value });
  }
  return { change, files };
}

/** What differs of the settings that stand in the file themselves. */
function plainOf({ settings }: Answers): ConfigChange {
  return Object.fromEntries(Object.entries(settings).filter(([name]) => !isSecretSetting(name)));
}

function textsOf({ settings }: Answers): Record<string, string> {
  return Object.fromEntries(
    Object.entries(settings).map(([name, value]) => [name, value ?? ""] as const),
  );
}

/** A path that means the same from every folder. */
function lasting(io: Io, path: string): string {
  return path.startsWith("~/") ? path : resolvePath(io, path);
}

function notATerminal(): ClipscribeError {
  return new ClipscribeError("config", "init asks questions, and there is no terminal to answer", {
    hint: "pass --yes and what differs: --home, --user, --cloud --bucket --endpoint, --service",
  });
}
