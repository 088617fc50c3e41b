/** Marks what a transcriber may have made up: loops, words in silence, words it doubts itself. */
import type { Segment, SegmentFlag } from "../../core/transcript.ts";
import type { Span } from "./plan-parts.ts";

/** The same segment so many times in a row is a loop. */
const LOOP_SEGMENTS = 3;
/** The same one to six words so many times in a row, inside a segment. */
const loopInside = /(?:^|\s)((?:\S+\s+){0,5}\S+)(?:\s+\1){4,}(?=\s|$)/i;
/** exp(average log-probability): about where Whisper's own tools reject. */
const LOW_CONFIDENCE = 0.4;
const SILENT_SHARE = 0.9;

export function flagSegments(segments: readonly Segment[], silences: readonly Span[]): Segment[] {
  let same = 0;
  const repeats = segments.map(({ text }, at) => {
    same = at > 0 && text.toLowerCase() === segments[at - 1]?.text.toLowerCase() ? same + 1 : 0;
    return same;
  });
  return segments.map((segment, at) => {
    const flags: SegmentFlag[] = [];
    const inLoop = [0, 1, 2].some((ahead) => {
      const repeat = repeats[at + ahead] ?? 0;
      return repeat >= LOOP_SEGMENTS - 1 && repeat >= ahead;
    });
    if (inLoop || loopInside.test(segment.text)) flags.push("loop");
    if (isSilent(segment, silences)) flags.push("silence");
    if ((segment.confidence ?? 1) < LOW_CONFIDENCE) flags.push("low-confidence");
    return flags.length === 0 ? segment : { ...segment, flags };
  });
}

function isSilent({ start, end }: Segment, silences: readonly Span[]): boolean {
  if (end <= start) return false;
  const silent = silences.reduce(
    (sum, silence) =>
      sum + Math.max(0, Math.min(end, silence.end) - Math.max(start, silence.start)),
    0,
  );
  return silent / (end - start) >= SILENT_SHARE;
}
