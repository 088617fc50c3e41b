/** The runner's side of a stage's `ctx`: tools, providers, money, progress and log. */
import { digestOf } from "../core/digest.ts";
import { ClipscribeError } from "../core/errors.ts";
import type { Sha256 } from "../core/ids.ts";
import type { Reservation } from "../core/money.ts";
import type { CheckedStage } from "../core/pipeline.ts";
import type { Usage } from "../core/records.ts";
import { safeLine } from "../core/safe-text.ts";
import type { PaidAnswer, PaidRequest, TranscribeAnswer } from "../core/stage.ts";
import type { ChatAnswer } from "../ports/providers.ts";
import type { SentInput, StageHost } from "../ports/stage-pool.ts";
import type { Provider } from "./identify-stage.ts";
import type { FinishedStage, ItemRun } from "./item-run.ts";
import { payOnce } from "./paid-calls.ts";
import type { PaidResult } from "./paid-calls.ts";
import { sendSound } from "./send-sound.ts";

/** What one stage used; becomes part of its cache entry. */
export interface StageMeter {
  usage: Usage;
  costUsd: number;
  tools: Record<string, string>;
  provider: { provider: string; model: string } | null;
  /** Of what a chat model was told to do, and the shape that it was to answer in. */
  prompts: Set<Sha256>;
  /** What the stage said its outputs lack. */
  incomplete: string[];
}

export function startMeter(): StageMeter {
  return {
    usage: {},
    costUsd: 0,
    tools: {},
    provider: null,
    prompts: new Set(),
    incomplete: [],
  };
}

/** One prompt's own digest, that of the list where there were several, null where there was none. */
export function digestOfPrompts({ prompts }: StageMeter): Sha256 | null {
  const [first, ...others] = [...prompts].toSorted();
  if (first === undefined) return null;
  return others.length === 0 ? first : digestOf([first, ...others]);
}

/** The stage that is under way, and whom it may ask. */
export interface HostedStage {
  run: ItemRun;
  stage: CheckedStage;
  finished: ReadonlyMap<string, FinishedStage>;
  provider: Provider | null;
}

export function createStageHost(
  { run, stage, finished, provider }: HostedStage,
  sent: Record<string, SentInput>,
  scratchDir: string,
  meter: StageMeter,
): StageHost {
  const { world } = run;
  const readable = readablePaths(sent);
  const about = { job_id: run.ticket.job_id, item_id: run.ticket.item_id, run: run.ticket.run };

  async function pay(
    request: PaidRequest,
    estimateUsd: number,
    call: (signal: AbortSignal) => Promise<PaidAnswer>,
  ): Promise<PaidResult> {
    await run.checkControl();
    const { signal, isAlive, assertAlive, calls } = run;
    const setAside = async (usd: number): Promise<Reservation> =>
      run.money.reserve(usd, finished, signal);
    const context = { signal, isAlive, assertAlive, calls, reserve: setAside };
    const answer = await payOnce(world, run.keys, { request, estimateUsd, call }, context);
    meter.provider = { provider: request.provider, model: request.model };
    if (!answer.reused) meter.costUsd += answer.costUsd;
    for (const [unit, amount] of Object.entries(answer.usage)) {
      meter.usage[unit] = (meter.usage[unit] ?? 0) + amount;
    }
    return answer;
  }

  return {
    async tool(call, onLine) {
      if (stage.contract.needs?.tools?.includes(call.tool) !== true) {
        throw new ClipscribeError("bug", "the stage calls a tool that it does not declare", {
          details: { stage: stage.id, tool: call.tool },
          hint: "add it to `needs: { tools: […] }` of the stage",
        });
      }
      meter.tools[call.tool] = (await world.tools.versions())[call.tool] ?? "unknown";
      return world.tools.run({
        tool: call.tool,
        args: call.args,
        readable,
        writableDir: scratchDir,
        timeoutMs: Math.min(call.timeoutMs ?? stage.timeoutMs, stage.timeoutMs),
        maxStdoutBytes: call.maxStdoutBytes,
        onLine,
        signal: run.signal,
      });
    },
    paid(request, estimateUsd) {
      const payee = world.providers.paid.get(request.provider);
      if (payee === undefined) throw noProvider(`provider ${request.provider}`);
      return pay(request, estimateUsd, (signal) => payee.call(request, signal));
    },
    async transcribe(request) {
      const transcriber = provider;
      if (transcriber === null || !("transcribe" in transcriber)) throw noProvider("transcriber");
      const { language, durationSeconds, audio, terms = [] } = request;
      const call = {
        provider: transcriber.provider,
        model: transcriber.model,
        operation: "transcribe",
        payload: { language, durationSeconds, ...(terms.length > 0 && { terms }) },
      };
      const { answer } = await pay(
        { ...call, files: { audio } },
        transcriber.estimateUsd(request),
        (signal) => sendSound(run, stage.id, transcriber, request, signal),
      );
      const { language: heard, segments, isUntimed = false } = answer as TranscribeAnswer;
      return { language: heard, segments, ...(isUntimed && { isUntimed }) };
    },
    async chat(call) {
      const chat = provider;
      if (chat === null || !("chat" in chat)) throw noProvider("chat model");
      const by = { provider: chat.provider, model: chat.model };
      const { instructions, jsonSchema } = call;
      meter.prompts.add(digestOf({ instructions, jsonSchema }));
      const request = { ...by, operation: "chat", payload: call };
      const { answer, reused } = await pay(request, chat.estimateUsd(call), (signal) =>
        chat.chat(call, signal),
      );
      return { ...readChatAnswer(answer as ChatAnswer), isNew: !reused };
    },
    incomplete: (why) => void meter.incomplete.push(safeLine(why)),
    progress: (fraction, note) =>
      world.listener({ ...about, type: "stage-progress", stage: stage.id, fraction, note }),
    log: (level, message, details) => run.log.add(stage.id, level, message, details),
  };
}

/**
 * Servers that ignore the schema put their JSON into a Markdown fence, behind their thoughts, or
 * between two sentences. Exported for its own tests.
 */
export function readChatAnswer({
  content,
  isWhole,
}: ChatAnswer): { answer: unknown } | { unusable: string } {
  if (!isWhole) return { unusable: "the model's answer ended at its limit" };
  const spoken = content.replace(/^\s*<think>[^]*?<\/think>/, "");
  const inside = spoken.slice(spoken.indexOf("{"), spoken.lastIndexOf("}") + 1);
  for (const text of [spoken, inside]) {
    try {
      return { answer: JSON.parse(text) as unknown };
    } catch {
      // Perhaps the next.
    }
  }
  return { unusable: "the model's answer is no JSON" };
}

function noProvider(what: string): ClipscribeError {
  return new ClipscribeError("config", `no ${what} is configured`, {
    hint: "set a provider's key (see docs/errors.md, held), then run again",
  });
}

function readablePaths(sent: Record<string, SentInput>): string[] {
  return Object.values(sent).flatMap((input) => {
    if (input.kind === "file") return [input.file.path];
    return input.kind === "files" ? input.files.map(({ path }) => path) : [];
  });
}
