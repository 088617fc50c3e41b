/** Brings sound to a transcriber by the way that core/sound-route.ts chooses, and says which. */
import { asClipscribeError, isKind } from "../core/errors.ts";
import { findModel } from "../core/models.ts";
import type { PaidAnswer } from "../core/stage.ts";
import { planSoundRoute } from "../core/sound-route.ts";
import type { SoundRoute } from "../core/sound-route.ts";
import type { Transcriber } from "../ports/providers.ts";
import type { HostTranscribeCall } from "../ports/stage-pool.ts";
import type { ItemRun } from "./item-run.ts";

/** Long enough for a provider that lets a request wait; the longest that a store signs for. */
const ADDRESS_SECONDS = 900;

/** `usage` of the answer counts how it was sent: `sent_by_address` or `sent_by_upload`. */
export async function sendSound(
  run: Pick<ItemRun, "world" | "keys" | "log">,
  stage: string,
  transcriber: Transcriber,
  request: HostTranscribeCall,
  signal: AbortSignal,
): Promise<PaidAnswer> {
  const note = (level: "info" | "warn", route: SoundRoute): void =>
    run.log.add(stage, level, `sound goes by ${route.by}`, { why: route.why });
  const route = await chooseRoute(run, transcriber, request, signal);
  note("info", route);
  if (route.by === "address") {
    const address = addressOf(run, request);
    try {
      return counted(await transcriber.transcribe({ ...request, address }, signal), route);
    } catch (error) {
      // Refused, so not paid for: perhaps it could not fetch it. An upload tells.
      if (!isKind(error, "contract")) throw error;
      const { message } = asClipscribeError(error);
      note("warn", { by: "upload", why: `by address it was refused: ${message}` });
    }
  }
  return counted(await transcriber.transcribe(request, signal), { by: "upload" });
}

async function chooseRoute(
  run: Pick<ItemRun, "world" | "keys">,
  { provider, model }: Transcriber,
  request: HostTranscribeCall,
  signal: AbortSignal,
): Promise<SoundRoute> {
  const { world, keys } = run;
  const { audio } = request;
  const facts = {
    model: `${provider}/${model}`,
    address: findModel("transcriber", provider, model)?.address ?? null,
    reach: await world.storeReach(),
    isStored: undefined,
    addressChars: undefined,
  };
  const first = planSoundRoute(facts);
  if (first.by === "upload") return first;
  const stored = await world.store.head(keys.blob(audio.sha256), { signal });
  const isStored = stored?.sizeBytes === audio.sizeBytes;
  const addressChars = (await addressOf(run, request)()).href.length;
  return planSoundRoute({ ...facts, isStored, addressChars });
}

function addressOf(
  { world, keys }: Pick<ItemRun, "world" | "keys">,
  { audio }: HostTranscribeCall,
): () => Promise<URL> {
  return async () => world.store.presign(keys.blob(audio.sha256), "get", ADDRESS_SECONDS);
}

function counted(answer: PaidAnswer, { by }: Pick<SoundRoute, "by">): PaidAnswer {
  return { ...answer, usage: { ...answer.usage, [`sent_by_${by}`]: 1 } };
}
