/**
 * Asks a chat model chunk by chunk. A chunk that brings nothing usable after a few attempts is
 * named as missing, never passed over as "nothing was said there".
 */
import type { ClipscribeError } from "../../core/errors.ts";
import type { Intelligence } from "../../core/intelligence.ts";
import type { StageContext } from "../../core/stage.ts";
import type { Segment, Transcript } from "../../core/transcript.ts";
import { formatClock } from "../formats/timecode.ts";
import { INSTRUCTIONS, ModelFindings, chunkSegments, promptOf } from "./ask-model.ts";
import { assembleFindings } from "./assemble-findings.ts";

/** New questions about one part, a run… */
const ATTEMPTS = 2;
/** …and in all its runs: a part that a model never reads well is left to a person. */
const MAX_ATTEMPTS = 20;
/** Findings of 24,000 characters are far shorter. */
const MAX_ANSWER_TOKENS = 16_000;

export async function findByModel(
  transcript: Transcript,
  by: { provider: string; model: string },
  options: { chunkChars: number; atOnce: number },
  ctx: StageContext,
): Promise<Intelligence> {
  const chunks = chunkSegments(transcript.segments, options.chunkChars);
  const answers: (ModelFindings | ClipscribeError)[] = [];
  const queue = chunks.entries();
  let done = 0;
  const worker = async (): Promise<void> => {
    for (const [index, chunk] of queue) {
      answers[index] = await askChunk(chunk, ctx);
      ctx.progress(++done / chunks.length, `${done} of ${chunks.length} parts read`);
    }
  };
  const ended = await Promise.allSettled(Array.from({ length: options.atOnce }, worker));
  for (const end of ended) if (end.status === "rejected") throw end.reason;

  const good = answers.filter((answer): answer is ModelFindings => !isError(answer));
  const [firstError] = answers.filter(isError);
  if (good.length === 0 && firstError !== undefined) throw firstError;
  for (const [index, answer] of answers.entries()) {
    const chunk = chunks[index] ?? [];
    if (isError(answer)) ctx.incomplete(`no findings for ${spanOf(chunk)}: ${answer.message}`);
  }
  const { intelligence, dropped } = assembleFindings(transcript, good, by);
  if (Object.keys(dropped).length > 0) {
    ctx.log.warn("some of what the model named is not supported and was left out", dropped);
  }
  return intelligence;
}

/** @throws what a person has to settle; returns what concerns this chunk alone. */
async function askChunk(
  chunk: readonly Segment[],
  ctx: StageContext,
): Promise<ModelFindings | ClipscribeError> {
  let asked = 0;
  // An answer of no use makes the next attempt another call; one of an earlier run is passed over
  // in the same way. One that never came does not: were it to, a run that is killed after the
  // second try would begin with the first, and pay again.
  let attempt = 1;
  for (;;) {
    try {
      return await ctx.chat({
        instructions: INSTRUCTIONS,
        prompt: promptOf(chunk),
        schema: ModelFindings,
        maxAnswerTokens: MAX_ANSWER_TOKENS,
        attempt,
      });
    } catch (thrown) {
      const error = thrown as ClipscribeError & { isNew?: boolean };
      ctx.signal.throwIfAborted();
      if (error.kind !== "contract" && error.kind !== "transient") throw error;
      if (error.isNew !== false) asked++;
      if (asked >= ATTEMPTS || attempt >= MAX_ATTEMPTS) return error;
      if (error.kind === "contract") attempt++;
      ctx.log.warn("a part will be asked again", { asked, error: error.message });
    }
  }
}

function isError(answer: ModelFindings | ClipscribeError): answer is ClipscribeError {
  return answer instanceof Error;
}

function spanOf(chunk: readonly Segment[]): string {
  return `${formatClock(chunk[0]?.start ?? 0)}–${formatClock(chunk.at(-1)?.end ?? 0)}`;
}
