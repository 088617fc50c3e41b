/** `clipscribe pipeline check|push|list|rollback`: pipelines as versions in the bucket. */
import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { basename } from "node:path";

import { systemClock } from "../adapters/system/system-clock.ts";
import { ClipscribeError, isKind } from "../core/errors.ts";
import { EXIT } from "../core/exit-codes.ts";
import { describePipelineChange } from "../core/pipeline-diff.ts";
import type { CheckedPipeline } from "../core/pipeline.ts";
import { findEarlier, signPipeline } from "../core/pushed-pipeline.ts";
import type { PipelineChange } from "../core/pushed-pipeline.ts";
import { safeLine } from "../core/safe-text.ts";
import { putPipeline, readPointer, swapPointer } from "../sync/pipeline-store.ts";
import type { PointerVersion } from "../sync/pipeline-store.ts";
import { openBatchOffice } from "./batch-office.ts";
import type { BatchOffice } from "./batch-office.ts";
import { findPipelineFile } from "./find-pipeline.ts";
import type { Io } from "./io.ts";
import { loadPipeline } from "./load-pipeline.ts";
import type { LoadedPipeline } from "./load-pipeline.ts";
import { hangText } from "./ui/wrap-text.ts";
import { openPushedPipelines, readKey } from "./pushed-pipelines.ts";

export type PipelineVerb = "check" | "push" | "list" | "rollback";

export async function pipelineVerb(
  verb: PipelineVerb,
  named: string | undefined,
  { json }: { json: boolean },
  io: Io,
): Promise<number> {
  await using office = await openBatchOffice(io, { json });
  if (!office.isShared) {
    throw new ClipscribeError("config", "pipelines are pushed to a bucket, and none is set", {
      hint: "on one machine pipeline.yaml itself holds; for a bucket: `clipscribe init`",
    });
  }
  const before = await readPointer(office.store);
  if (verb === "list") return list(before, json, io);
  if (verb === "rollback") return await rollback(office, before, named, json, io);
  const file = findPipelineFile(io, named);
  const loaded = await loadPipeline(file, office.settings.home);
  const compared = await compare(office, before, loaded.pipeline);
  if (verb === "check") return check(loaded, before, compared, json, io);
  return await push(office, loaded, before, compared, json, io);
}

interface Compared {
  changes: string[];
  /** Endings of bare drops that have no event rule yet. */
  newEndings: string[];
}

/** What is in force may itself be gone or damaged: that is no reason not to replace it. */
async function compare(
  { store, settings }: BatchOffice,
  before: PointerVersion | undefined,
  next: CheckedPipeline,
): Promise<Compared> {
  if (before === undefined) return { changes: ["first push"], newEndings: [] };
  try {
    const current = await openPushedPipelines(store, settings).load(before.pointer.digest);
    const known = new Set(current.accept);
    return {
      changes: describePipelineChange(current, next),
      newEndings:
        settings.queue.kind === "cloudflare" ? next.accept.filter((each) => !known.has(each)) : [],
    };
  } catch (error) {
    if (!(error instanceof ClipscribeError)) throw error;
    return { changes: [`the one before can't be compared: ${error.message}`], newEndings: [] };
  }
}

function check(
  { file, pipeline }: LoadedPipeline,
  before: PointerVersion | undefined,
  { changes, newEndings }: Compared,
  json: boolean,
  io: Io,
): number {
  const inForce = before?.pointer.digest === pipeline.digest;
  if (json) {
    const { digest } = pipeline;
    io.stdout(`${JSON.stringify({ schema: 1, ok: true, digest, in_force: inForce, changes })}\n`);
    return EXIT.complete;
  }
  const what = inForce ? "is in force" : "is good, and not in force";
  io.stdout(`${basename(file)} ${what} (${short(pipeline.digest)})\n`);
  if (!inForce) {
    io.stdout(lines(changes, io));
    io.stdout("`clipscribe pipeline push` puts it in force\n");
    io.stdout(ruleAdvice(newEndings, io));
  }
  return EXIT.complete;
}

async function push(
  { store, settings }: BatchOffice,
  loaded: LoadedPipeline,
  before: PointerVersion | undefined,
  { changes, newEndings }: Compared,
  json: boolean,
  io: Io,
): Promise<number> {
  const { index, bundles: paths } = loaded;
  const { digest, name } = index;
  const bundles = new Map(paths.map((path) => [basename(path), readFileSync(path)]));
  const key = readKey(settings, "CLIPSCRIBE_PIPELINE_SIGNING_KEY");
  // Also where it is in force: what may have been lost of it is there again then.
  await permitted(
    putPipeline(store, { index, bundles }, (each) =>
      key === null ? null : signPipeline(key, each),
    ),
  );
  if (before?.pointer.digest === digest) {
    if (json) io.stdout(`${JSON.stringify({ schema: 1, digest, in_force: true, changes: [] })}\n`);
    else io.stdout(`${short(digest)} is in force already\n`);
    return EXIT.complete;
  }
  const change = changeTo(digest, name, "push", changes);
  await permitted(swapPointer(store, before, change));
  return say(change, newEndings, json, io);
}

async function rollback(
  office: BatchOffice,
  before: PointerVersion | undefined,
  named: string | undefined,
  json: boolean,
  io: Io,
): Promise<number> {
  if (before === undefined) {
    throw new ClipscribeError("config", "no pipeline was pushed yet", {
      hint: "`clipscribe pipeline push` puts the first one in force",
    });
  }
  const earlier = findEarlier(before.pointer, named);
  // Before anything moves: it is there, whole, and can be run.
  const target = await openPushedPipelines(office.store, office.settings).load(earlier.digest);
  const { changes, newEndings } = await compare(office, before, target);
  const change = changeTo(earlier.digest, earlier.name, "rollback", changes);
  await permitted(swapPointer(office.store, before, change));
  return say(change, newEndings, json, io);
}

/** Whoever could read the pointer and is refused now has credentials that only read there. */
async function permitted(work: Promise<unknown>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!isKind(error, "denied")) throw error;
    throw new ClipscribeError("denied", "these credentials may not push pipelines", {
      hint: "use some that may: `clipscribe cloud credentials --user NAME --may-push`, on a server",
      cause: error,
    });
  }
}

function list(before: PointerVersion | undefined, json: boolean, io: Io): number {
  const pointer = before?.pointer ?? null;
  if (json) {
    io.stdout(
      `${JSON.stringify({ schema: 1, digest: pointer?.digest ?? null, history: pointer?.history ?? [] })}\n`,
    );
    return EXIT.complete;
  }
  if (pointer === null)
    io.stdout("no pipeline was pushed yet: each machine goes by its own file\n");
  for (const [index, change] of (pointer?.history ?? []).entries()) {
    const mark = index === 0 ? "in force" : "        ";
    const at = change.at.slice(0, 16).replace("T", " ");
    io.stdout(
      `${mark}  ${short(change.digest)}  ${at}  ${change.action} by ${safeLine(change.by, 40)}\n`,
    );
    io.stdout(lines(change.changes, io));
  }
  return EXIT.complete;
}

function changeTo(
  digest: PipelineChange["digest"],
  name: string,
  action: PipelineChange["action"],
  changes: string[],
): PipelineChange {
  return { digest, name, action, at: systemClock.now().toISOString(), by: hostname(), changes };
}

function say(change: PipelineChange, newEndings: readonly string[], json: boolean, io: Io): number {
  const { digest, changes } = change;
  if (json) {
    io.stdout(`${JSON.stringify({ schema: 1, digest, in_force: true, changes })}\n`);
    return EXIT.complete;
  }
  io.stdout(`${short(digest)} is in force: runners take it up with their next look\n`);
  io.stdout(lines(changes, io));
  io.stdout(ruleAdvice(newEndings, io));
  return EXIT.complete;
}

/** Without an event the sweep finds such drops, which takes it a minute. */
function ruleAdvice(newEndings: readonly string[], io: Io): string {
  if (newEndings.length === 0) return "";
  const endings = newEndings.map((each) => `.${each}`).join(" ");
  const advice = `then \`clipscribe cloud apply\`, for events of bare drops that end in ${endings}`;
  return hangText("", advice, io);
}

function lines(changes: readonly string[], io: Io): string {
  return changes.map((change) => hangText("  ", change, io)).join("");
}

function short(digest: string): string {
  return digest.slice(0, 12);
}
