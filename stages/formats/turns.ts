/** Consecutive segments of one speaker. */
import type { Segment } from "../../core/transcript.ts";

export interface SpeakerTurn {
  speaker: string | null;
  segments: Segment[];
}

export function speakerTurns(segments: readonly Segment[]): SpeakerTurn[] {
  const turns: SpeakerTurn[] = [];
  for (const segment of segments) {
    const turn = turns.at(-1);
    if (turn !== undefined && turn.speaker === segment.speaker) turn.segments.push(segment);
    else turns.push({ speaker: segment.speaker, segments: [segment] });
  }
  return turns;
}
