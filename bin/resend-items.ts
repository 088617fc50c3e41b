/**
 * The agent's answer to an item that is held since a runner misses something: where this machine's
 * ledger has the original, what is missing is made and sent again, and the next run begins.
 */
import { readdirSync } from "node:fs";
import { basename, dirname, join } from "node:path";

import { systemClock } from "../adapters/system/system-clock.ts";
import { isKind } from "../core/errors.ts";
import type { ItemId, JobId, UserId } from "../core/ids.ts";
import { keysOf } from "../core/keys.ts";
import { ItemState, Metadata } from "../core/records.ts";
import type { Ticket } from "../core/records.ts";
import type { Pipelines } from "../ports/pipelines.ts";
import type { RunnerListener } from "../runner/runner-events.ts";
import { sidecarsOf } from "../sync/list-files.ts";
import { planResend } from "../sync/plan-resend.ts";
import type { PrepareItem } from "../sync/prepare-port.ts";
import { resendItem } from "../sync/resend-item.ts";
import type { Resent } from "../sync/resend-item.ts";
import { readRecord } from "../sync/stored-records.ts";
import type { Machine } from "./compose.ts";
import { openItemPreparer } from "./prepare-items.ts";

export interface ResendOptions {
  machine: Machine;
  user: UserId;
  pipelines: Pipelines;
  listener: RunnerListener;
  signal: AbortSignal;
}

/** `leave`: something is missing, and this machine can't help; `why` is for a person. */
export type ResendOutcome = Resent | { action: "leave"; why: string };

/** Safe to call for any item, as often as one likes. */
export async function resendMissing(
  options: ResendOptions,
  job: JobId,
  item: ItemId,
): Promise<ResendOutcome> {
  const { machine, user, pipelines, listener, signal } = options;
  const { store, ledger } = machine;
  const keys = keysOf(user);
  const found = await readRecord(store, keys.item(job, item), ItemState);
  const input = found?.value.input;
  if (found === undefined || input == null) return { action: "none" };
  const { value: state, etag } = found;
  const path = await findOriginal(ledger, input, signal);
  const pipeline = await pipelines.find(input.pipeline_digest);
  const decision = planResend(state, {
    hasOriginal: path !== undefined,
    hasPipeline: pipeline !== undefined,
  });
  if (decision.action !== "resend") return decision;
  if (path === undefined || pipeline === undefined) return { action: "none" };
  const metadata = (await readRecord(store, keys.metadata(job), Metadata))?.value;
  const keepVideo = metadata?.options["keep_video"] === true;
  const prepareItem = openItemPreparer(machine, pipeline, listener);
  const prepare: PrepareItem = async (ticket, before) =>
    prepareItem({ ticket, before, path, keepVideo, signal });
  const sidecars = captionsBeside(path);
  try {
    return await resendItem(store, systemClock, { state, etag, sidecars, prepare });
  } catch (error) {
    // A runner, or another machine, has gone on with it.
    if (isKind(error, "conflict")) return { action: "none" };
    throw error;
  }
}

async function findOriginal(
  ledger: Machine["ledger"],
  { source }: Ticket,
  signal: AbortSignal,
): Promise<string | undefined> {
  try {
    return (await ledger.locate(source, signal)).path;
  } catch (error) {
    if (isKind(error, "missing")) return undefined;
    throw error;
  }
}

function captionsBeside(path: string): string[] {
  const folder = dirname(path);
  return sidecarsOf(basename(path), readdirSync(folder)).map((name) => join(folder, name));
}
