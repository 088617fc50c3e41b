/** How long a source is, as far as finished stages have found out: what estimates go by. */
import { z } from "zod";

import { MediaInfo } from "../core/media-info.ts";
import type { ArtifactShelf } from "./artifact-shelf.ts";
import type { FinishedStage } from "./item-run.ts";

export interface SourceLength {
  /** Null where no stage has named an artifact `media`. */
  mediaSeconds: number | null;
  /** Null where there is no `transcript` yet. */
  spoken: { chars: number; segments: number } | null;
}

type Finished = ReadonlyMap<string, Pick<FinishedStage, "entry">>;

/** No more than what is counted: a transcript holds a time for each word. */
const Spoken = z.object({ segments: z.array(z.object({ text: z.string() })) });

export async function measureLength(
  shelf: ArtifactShelf,
  finished: Finished,
  signal: AbortSignal,
): Promise<SourceLength> {
  const media = await readArtifact(shelf, finished, "media", MediaInfo, signal);
  const said = await readArtifact(shelf, finished, "transcript", Spoken, signal);
  const spoken = said && {
    chars: said.segments.reduce((sum, { text }) => sum + text.length, 0),
    segments: said.segments.length,
  };
  return { mediaSeconds: media?.duration ?? null, spoken };
}

export function hasTranscript(finished: Finished): boolean {
  return [...finished.values()].some(({ entry }) => entry?.artifacts["transcript"] !== undefined);
}

async function readArtifact<Value>(
  shelf: ArtifactShelf,
  finished: Finished,
  name: string,
  schema: z.ZodType<Value>,
  signal: AbortSignal,
): Promise<Value | null> {
  for (const { entry } of finished.values()) {
    const artifact = entry?.artifacts[name];
    if (artifact?.media_type !== "application/json") continue;
    const found = schema.safeParse(JSON.parse(await shelf.readText(artifact, signal)));
    if (found.success) return found.data;
  }
  return null;
}
