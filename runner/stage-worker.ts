/**
 * The thread's side of a stage: imports its bundle, checks its inputs, runs it, checks and hashes
 * what it made. Talks to the runner over one message port a task; stage-port.ts has both ends.
 */
import { pathToFileURL } from "node:url";
import type { MessagePort } from "node:worker_threads";

import { fromErrorRecord, toErrorRecord } from "../core/errors.ts";
import type { ErrorRecord } from "../core/errors.ts";
import type { StageDefinition } from "../core/stage.ts";
import type { MadeArtifact, StageTask } from "../ports/stage-pool.ts";
import { createStageContext } from "./stage-context.ts";
import { hostOverPort } from "./stage-port.ts";
import { collectOutputs, parseInputs, parseParams } from "./stage-values.ts";

export interface WorkerTask extends StageTask {
  port: MessagePort;
}

export type WorkerAnswer =
  | { ok: true; artifacts: Record<string, MadeArtifact> }
  | { ok: false; error: ErrorRecord };

interface StageBundle {
  default: StageDefinition;
  toJSONSchema?: (schema: unknown) => unknown;
}

/** Bundles by path, which names their content: a thread runs the same few again and again. */
const bundles = new Map<string, Promise<StageBundle>>();

function loadBundle(path: string): Promise<StageBundle> {
  const known = bundles.get(path);
  if (known !== undefined) return known;
  const loading = import(pathToFileURL(path).href) as Promise<StageBundle>;
  bundles.set(path, loading);
  loading.catch(() => bundles.delete(path));
  return loading;
}

export default async function runStageTask(task: WorkerTask): Promise<WorkerAnswer> {
  const abort = new AbortController();
  const { host, close } = hostOverPort(task.port, (reason) => abort.abort(fromErrorRecord(reason)));
  try {
    const bundle = await loadBundle(task.bundlePath);
    const definition = bundle.default;
    const ctx = createStageContext({
      host,
      signal: abort.signal,
      scratchDir: task.scratchDir,
      provider: task.provider,
      toJsonSchema: (schema) => bundle.toJSONSchema?.(schema),
    });
    const input = parseInputs(definition, task.inputs);
    const params = parseParams(definition, task.params);
    const returned = await definition.run({ input, params, ctx });
    return { ok: true, artifacts: await collectOutputs(definition, returned, task.scratchDir) };
  } catch (error) {
    return { ok: false, error: toErrorRecord(classify(error)) };
  } finally {
    close();
  }
}

/**
 * A stage's bundle has its own copy of the error class, so `instanceof` can't tell; its name and
 * kind can.
 */
function classify(thrown: unknown): unknown {
  if (!(thrown instanceof Error) || thrown.name !== "ClipscribeError") return thrown;
  const { kind, hint, message, cause } = thrown as Error & Partial<ErrorRecord>;
  const record = toErrorRecord(Object.assign(new Error(message), { cause }));
  return kind === undefined
    ? thrown
    : fromErrorRecord({ kind, message, hint: hint ?? null, cause: record.cause });
}
