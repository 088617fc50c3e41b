/** What the `batch` verbs have in common: the store that the settings name, and the job that is meant. */
import { ClipscribeError } from "../core/errors.ts";
import type { JobId } from "../core/ids.ts";
import type { Log } from "../ports/log.ts";
import type { ObjectStore } from "../ports/object-store.ts";
import { findJob } from "../sync/find-job.ts";
import { openBackend } from "./backend.ts";
import type { Io } from "./io.ts";
import { openLog } from "./log.ts";
import { makeFolder } from "./make-folder.ts";
import { readSettings } from "./settings.ts";
import type { Settings } from "./settings.ts";

export interface BatchOffice extends AsyncDisposable {
  settings: Settings;
  store: ObjectStore;
  /** Runners of other machines work on the same store. */
  isShared: boolean;
  log: Log;
}

/** No threads and no tools: these verbs only read and write records. */
export async function openBatchOffice(io: Io, { json }: { json: boolean }): Promise<BatchOffice> {
  const settings = await readSettings(io);
  const log = openLog({ write: io.stderr, format: json ? "json" : "text", level: "warn" });
  makeFolder(settings.home);
  const backend = await openBackend(settings, log);
  const { store, isShared } = backend;
  return {
    settings,
    store,
    isShared,
    log,
    [Symbol.asyncDispose]: () => backend[Symbol.asyncDispose](),
  };
}

/** `names`: as an argument and as a flag. @throws `config` where there is none, or two; `missing`. */
export async function readJobName(
  { store, settings }: BatchOffice,
  names: readonly (string | undefined)[],
): Promise<JobId> {
  const [name, ...others] = names.filter((each) => each !== undefined);
  if (name === undefined || others.some((other) => other !== name)) {
    throw new ClipscribeError("config", name === undefined ? "no job is named" : "two are named", {
      hint: "name one job; `clipscribe batch list` shows the latest ones",
    });
  }
  return findJob(store, settings.user, name);
}
