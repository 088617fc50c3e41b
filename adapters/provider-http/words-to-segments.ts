/** Joins timed words to segments as people read them: by speaker, sentence and pause. */
import type { TranscribeAnswer } from "../../core/stage.ts";
import { spaceBetween } from "../../core/word-spaces.ts";

export interface TimedWord {
  text: string;
  start: number;
  end: number;
  speaker: string | null;
  confidence?: number;
}

type Segment = TranscribeAnswer["segments"][number];

const MAX_PAUSE_S = 1;
const MAX_SEGMENT_S = 15;
const sentenceEnd = /[.!?…。！？]["'”’)\]]*$/;

export function wordsToSegments(words: readonly TimedWord[]): Segment[] {
  const segments: (Segment & { words: NonNullable<Segment["words"]> })[] = [];
  let last: TimedWord | undefined;
  for (const word of words) {
    const text = word.text.trim();
    if (text === "") continue;
    const current = segments.at(-1);
    const { start, end, speaker, confidence } = word;
    const timed = { text, start, end, ...(confidence !== undefined && { confidence }) };
    const goesOn =
      current !== undefined &&
      last !== undefined &&
      current.speaker === speaker &&
      start - last.end < MAX_PAUSE_S &&
      end - current.start < MAX_SEGMENT_S &&
      !sentenceEnd.test(last.text.trim());
    if (goesOn) {
      current.text += `${spaceBetween(current.text, text)}${text}`;
      current.end = Math.max(current.end, end);
      current.words.push(timed);
    } else {
      segments.push({ start, end, text, speaker, words: [timed] });
    }
    last = word;
  }
  return segments;
}
