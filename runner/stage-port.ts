/**
 * Both ends of the channel between a stage in its thread and the runner. Requests carry an id and get
 * one reply; notices (progress, log, a tool's lines) get none.
 */
import { fromErrorRecord, toErrorRecord } from "../core/errors.ts";
import type { ErrorRecord } from "../core/errors.ts";
import type { HostChatCall, HostToolCall, StageHost } from "../ports/stage-pool.ts";
import type { StageChannel } from "../ports/stage-thread.ts";

type Request =
  | { method: "tool"; call: HostToolCall }
  | { method: "chat"; call: HostChatCall }
  | { method: "transcribe"; request: Parameters<StageHost["transcribe"]>[0] }
  | { method: "paid"; request: Parameters<StageHost["paid"]>[0]; estimateUsd: number };

type FromStage =
  | { type: "request"; id: number; request: Request }
  | { type: "progress"; fraction: number; note: string }
  | { type: "incomplete"; why: string }
  | {
      type: "log";
      level: "debug" | "info" | "warn";
      message: string;
      details: Record<string, unknown>;
    };

type ToStage =
  | { type: "reply"; id: number; ok: true; value: unknown }
  | { type: "reply"; id: number; ok: false; error: ErrorRecord }
  | { type: "line"; id: number; line: string }
  | { type: "abort"; reason: ErrorRecord };

interface Waiting {
  resolve(value: unknown): void;
  reject(error: unknown): void;
  onLine: ((line: string) => void) | undefined;
}

/** The stage's end. `onAbort` is called at most once. */
export function hostOverChannel(
  channel: StageChannel,
  onAbort: (reason: ErrorRecord) => void,
): StageHost {
  const waiting = new Map<number, Waiting>();
  let nextId = 1;
  const send = (message: FromStage): void => channel.send(message);
  channel.listen((heard) => {
    const message = heard as ToStage;
    if (message.type === "abort") return onAbort(message.reason);
    const waiter = waiting.get(message.id);
    if (message.type === "line") return waiter?.onLine?.(message.line);
    waiting.delete(message.id);
    if (message.ok) waiter?.resolve(message.value);
    else waiter?.reject(fromErrorRecord(message.error));
  });
  const ask = <Value>(request: Request, onLine?: (line: string) => void): Promise<Value> =>
    new Promise((resolve, reject) => {
      const id = nextId++;
      waiting.set(id, { resolve: resolve, reject, onLine });
      send({ type: "request", id, request });
    });
  return {
    tool: (call, onLine) => ask({ method: "tool", call }, onLine),
    chat: (call) => ask({ method: "chat", call }),
    transcribe: (request) => ask({ method: "transcribe", request }),
    paid: (request, estimateUsd) => ask({ method: "paid", request, estimateUsd }),
    incomplete: (why) => send({ type: "incomplete", why }),
    progress: (fraction, note) => send({ type: "progress", fraction, note }),
    log: (level, message, details) =>
      send({
        type: "log",
        level,
        message,
        details: JSON.parse(JSON.stringify(details)) as Record<string, unknown>,
      }),
  };
}

/** The runner's end: answers the stage's requests from `host`. Returns how to abort the stage. */
export function serveStage(channel: StageChannel, host: StageHost): (reason: unknown) => void {
  const send = (message: ToStage): void => channel.send(message);
  channel.listen((heard) => {
    const message = heard as FromStage;
    if (message.type === "progress") return host.progress(message.fraction, message.note);
    if (message.type === "incomplete") return host.incomplete(message.why);
    if (message.type === "log") return host.log(message.level, message.message, message.details);
    const { id, request } = message;
    const onLine = (line: string): void => send({ type: "line", id, line });
    answer(host, request, onLine).then(
      (value) => send({ type: "reply", id, ok: true, value }),
      (error: unknown) => send({ type: "reply", id, ok: false, error: toErrorRecord(error) }),
    );
  });
  return (reason) => send({ type: "abort", reason: toErrorRecord(reason) });
}

async function answer(
  host: StageHost,
  request: Request,
  onLine: (line: string) => void,
): Promise<unknown> {
  switch (request.method) {
    case "tool":
      return host.tool(request.call, request.call.wantsLines ? onLine : undefined);
    case "chat":
      return host.chat(request.call);
    case "transcribe":
      return host.transcribe(request.request);
    case "paid":
      return host.paid(request.request, request.estimateUsd);
  }
}
