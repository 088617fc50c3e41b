/** Cues → segments: whole sentences of one speaker, so that a quote's time is close to its words. */
import type { Cue } from "../../core/captions.ts";
import { segmentId } from "../../core/transcript.ts";
import type { Segment } from "../../core/transcript.ts";

/** Longer segments make a quote's time vague. */
const MAX_SEGMENT_S = 30;
const MAX_SEGMENT_CHARS = 400;
/** A pause this long ends a sentence, whatever its punctuation. */
const MAX_PAUSE_S = 2;

export function segmentCues(cues: readonly Cue[]): Segment[] {
  const groups: Cue[][] = [];
  for (const cue of cues) {
    const group = groups.at(-1);
    const first = group?.[0];
    const last = group?.at(-1);
    const continues =
      group !== undefined &&
      first !== undefined &&
      last !== undefined &&
      cue.speaker === first.speaker &&
      !endsSentence(last.text) &&
      cue.start - last.end <= MAX_PAUSE_S &&
      cue.end - first.start <= MAX_SEGMENT_S &&
      lengthOf(group) + cue.text.length <= MAX_SEGMENT_CHARS;
    if (continues) group.push(cue);
    else groups.push([cue]);
  }
  return groups.map((group, index) => ({
    id: segmentId(index),
    start: Math.min(...group.map(({ start }) => start)),
    end: Math.max(...group.map(({ end }) => end)),
    text: group.map(({ text }) => text).join(" "),
    speaker: group[0]?.speaker ?? null,
  }));
}

function endsSentence(text: string): boolean {
  return /[.!?…]["'”’)\]]*$/.test(text);
}

function lengthOf(group: readonly Cue[]): number {
  return group.reduce((sum, { text }) => sum + text.length + 1, 0);
}
