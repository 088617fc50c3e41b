/** The runner's side of a stage's `ctx`: tools, providers, money, progress and log. */
import { ClipscribeError } from "../core/errors.ts";
import type { CheckedStage } from "../core/pipeline.ts";
import type { Usage } from "../core/records.ts";
import type { PaidRequest, TranscribeAnswer } from "../core/stage.ts";
import type { SentInput, StageHost } from "../ports/stage-pool.ts";
import type { ItemRun } from "./item-run.ts";
import { payOnce } from "./paid-calls.ts";

/** What one stage used; becomes part of its cache entry. */
export interface StageMeter {
  usage: Usage;
  costUsd: number;
  tools: Record<string, string>;
  provider: { provider: string; model: string } | null;
}

export function createStageHost(
  run: ItemRun,
  stage: CheckedStage,
  sent: Record<string, SentInput>,
  scratchDir: string,
  meter: StageMeter,
): StageHost {
  const { world } = run;
  const readable = readablePaths(sent);
  const about = { job_id: run.ticket.job_id, item_id: run.ticket.item_id, run: run.ticket.run };

  async function paid(request: PaidRequest, estimateUsd: number): ReturnType<StageHost["paid"]> {
    await run.checkControl();
    const context = { signal: run.signal, spending: run.spending, isAlive: run.isAlive };
    const answer = await payOnce(world, run.keys, request, estimateUsd, context);
    meter.provider = { provider: request.provider, model: request.model };
    if (!answer.reused) meter.costUsd += answer.costUsd;
    for (const [unit, amount] of Object.entries(answer.usage)) {
      meter.usage[unit] = (meter.usage[unit] ?? 0) + amount;
    }
    return { answer: answer.answer, usage: answer.usage, costUsd: answer.costUsd };
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
    paid,
    async transcribe(request) {
      const { transcriber } = world.providers;
      if (transcriber === null) throw noProvider("transcriber");
      const { provider, model } = transcriber;
      const { language, durationSeconds, audio } = request;
      const call = {
        provider,
        model,
        operation: "transcribe",
        payload: { language, durationSeconds },
      };
      const estimate = transcriber.estimateUsd(request);
      return (await paid({ ...call, files: { audio } }, estimate)).answer as TranscribeAnswer;
    },
    async chat(call) {
      const { chat } = world.providers;
      if (chat === null) throw noProvider("chat model");
      const { provider, model } = chat;
      const request = { provider, model, operation: "chat", payload: call };
      return (await paid(request, 0)).answer;
    },
    progress: (fraction, note) =>
      world.listener({ ...about, type: "stage-progress", stage: stage.id, fraction, note }),
    log: (level, message, details) => run.log.add(stage.id, level, message, details),
  };
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
