/**
 * The thread's side of a stage: imports its bundle, checks its inputs, runs it, checks and hashes
 * what it made. One task at a time; all that is said about it goes over the port that the thread opens
 * to its pool when it starts.
 */
import { pathToFileURL } from "node:url";
import { MessageChannel, parentPort } from "node:worker_threads";

import { fromErrorRecord, toErrorRecord } from "../core/errors.ts";
import type { ErrorRecord } from "../core/errors.ts";
import type { StageDefinition } from "../core/stage.ts";
import type { StageTask } from "../ports/stage-pool.ts";
import type {
  FromThread,
  StageChannel,
  ThreadAnswer,
  ThreadHello,
  ThreadTask,
  ToThread,
} from "../ports/stage-thread.ts";
import { createStageContext } from "./stage-context.ts";
import { hostOverChannel } from "./stage-port.ts";
import { collectOutputs, parseInputs, parseParams } from "./stage-values.ts";

interface StageBundle {
  default: StageDefinition;
  toJSONSchema?: (schema: unknown) => unknown;
}

/** Bundles by path, which names their content: a thread runs the same few again and again. */
const bundles = new Map<string, Promise<StageBundle>>();
let current: { number: number; hear: (message: unknown) => void } | undefined;

const { port1: pool, port2: port } = new MessageChannel();
parentPort?.postMessage({ port } satisfies ThreadHello, [port]);
pool.on("message", ({ number, message }: ToThread) => {
  if (current?.number === number) current.hear(message);
});
// Whoever gives tasks keeps the thread alive.
pool.unref();

/** What the pool calls. Its answer goes over the port, after all that the stage has said. */
export default async function runStageTask({ number, task }: ThreadTask): Promise<void> {
  const say = (message: FromThread): void => pool.postMessage(message, []);
  const under = { number, hear: (_message: unknown): void => undefined };
  current = under;
  say({ type: "begin", number });
  const channel: StageChannel = {
    // A stage that has returned and goes on has nobody to talk to.
    send(message) {
      if (current === under) say({ type: "say", number, message });
    },
    listen: (hear) => void (under.hear = hear),
  };
  const answer = await runTask(task, channel);
  current = undefined;
  say({ type: "end", number, answer });
}

async function runTask(task: StageTask, channel: StageChannel): Promise<ThreadAnswer> {
  const abort = new AbortController();
  try {
    const host = hostOverChannel(channel, (reason) => abort.abort(fromErrorRecord(reason)));
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
  }
}

function loadBundle(path: string): Promise<StageBundle> {
  const known = bundles.get(path);
  if (known !== undefined) return known;
  const loading = import(pathToFileURL(path).href) as Promise<StageBundle>;
  bundles.set(path, loading);
  loading.catch(() => bundles.delete(path));
  return loading;
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
