/** `clipscribe runner`: takes tickets and works on them until it is told to stop. */
import { randomUUID } from "node:crypto";
import { join } from "node:path";

import { openDropLedger } from "../adapters/ledger/drop-ledger.ts";
import { systemClock } from "../adapters/system/system-clock.ts";
import { toErrorRecord } from "../core/errors.ts";
import { EXIT } from "../core/exit-codes.ts";
import { systemKeys } from "../core/keys.ts";
import type { Log } from "../ports/log.ts";
import { openRunner } from "../runner/runner.ts";
import type { RunnerEvent } from "../runner/runner-events.ts";
import type { Pipelines } from "../ports/pipelines.ts";
import { CLOSE_MS, closeOrExit, exitWithin } from "./close-or-exit.ts";
import { assertConditions, removeStaleProbes } from "./assert-conditions.ts";
import { openMachine } from "./compose.ts";
import type { Machine } from "./compose.ts";
import type { Io } from "./io.ts";
import { openLog } from "./log.ts";
import { openPipelinesInForce } from "./pipelines-in-force.ts";
import { readSettings } from "./settings.ts";

export interface RunnerFlags {
  pipeline: string | undefined;
  /** How long what is under way may take once it is told to stop. */
  drainMs: number;
  json: boolean;
  verbose: boolean;
}

export async function runner(flags: RunnerFlags, io: Io): Promise<number> {
  const settings = await readSettings(io);
  const format = flags.json ? "json" : "text";
  const log = openLog({ write: io.stderr, format, level: flags.verbose ? "debug" : "info" });
  await using machine = await openMachine(io, settings, log);
  const { store, isShared } = machine;
  using ledger = openDropLedger(join(settings.home, "ledger.db"));
  const source = { io, settings, store, isShared, named: flags.pipeline };
  using pipelines = await openPipelinesInForce(source, ledger.listPipelines(), {
    onChange: ({ digest }, changes) =>
      log.info("another pipeline holds for what comes next", { digest, changes }),
    onRefused: (error) =>
      log.error("the pipeline stays as it was", { error: toErrorRecord(error) }),
  });
  if (isShared) {
    await assertConditions(store, systemKeys.probe(randomUUID()));
    // Only tidying: a start does not end by it, and the next one does it.
    await removeStaleProbes(store, systemClock.now()).catch((error: unknown) =>
      log.warn("probes of killed runners are left", { error: toErrorRecord(error) }),
    );
  }
  const retire = new AbortController();
  const leave = new AbortController();
  const exit = io.exit ?? (() => undefined);
  // First: what is under way may end. Second: it is handed back at once.
  const forget = io.onInterrupt(() => {
    if (retire.signal.aborted) leave.abort();
    else log.info("stopping: nothing more is taken on");
    exitWithin((leave.signal.aborted ? 0 : flags.drainMs) + CLOSE_MS, exit);
    retire.abort();
  });
  try {
    while (!retire.signal.aborted) {
      await serve({
        machine,
        pipelines,
        log,
        retire: retire.signal,
        leave: leave.signal,
        flags,
        exit,
      });
    }
    log.info("stopped");
    return EXIT.complete;
  } finally {
    forget();
  }
}

export interface Service {
  machine: Pick<Machine, "openWorld">;
  pipelines: Pipelines;
  log: Log;
  retire: AbortSignal;
  leave: AbortSignal;
  flags: Pick<RunnerFlags, "drainMs">;
  exit: (code: number) => void;
}

/** One runner under one id, until it is told to stop or others took it for dead. */
export async function serve(service: Service): Promise<void> {
  const { machine, pipelines, log, retire, leave, flags, exit } = service;
  const pipeline = pipelines.current();
  const world = machine.openWorld(pipelines, (event) => report(log, event));
  const working = await openRunner(world, { sweepPrefix: null, accepts: () => true });
  const close = async (): Promise<void> => working[Symbol.asyncDispose]();
  log.info("ready", {
    runner: world.runner,
    pipeline: pipeline.name,
    digest: pipeline.digest,
    items: world.items,
  });
  await aborted(retire, working.lost, working.stalled);
  if (working.stalled.aborted) {
    log.error("the runner ends", { error: toErrorRecord(working.stalled.reason as Error) });
    await closeOrExit(close, exit);
    // Whatever else of the process hangs is not waited for any longer.
    setTimeout(() => exit(EXIT.bug), CLOSE_MS).unref();
    throw working.stalled.reason;
  }
  if (working.lost.aborted) {
    log.warn("others took this runner for dead: it starts anew", { runner: world.runner });
    // Where what it waits for does not end, its supervisor starts it anew instead.
    return closeOrExit(close, exit);
  }
  log.info("what is under way may end", { items: working.active, within_ms: flags.drainMs });
  await Promise.race([working.retire(flags.drainMs), aborted(leave)]);
  await close();
}

async function aborted(...signals: AbortSignal[]): Promise<void> {
  const either = AbortSignal.any(signals);
  if (either.aborted) return;
  await new Promise<void>((resolve) => {
    either.addEventListener("abort", () => resolve(), { once: true });
  });
}

function report(log: Log, event: RunnerEvent): void {
  const { type, ...about } = event;
  if (type === "item-ended" || type === "item-troubled") log.info(type, about);
  else log.debug(type, about);
}
