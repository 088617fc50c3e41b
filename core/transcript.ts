/** What was said, when and by whom: the artifact `transcript`. Times are seconds from the start. */
import { z } from "zod";

const seconds = z.number().min(0);

export const Word = z.object({
  text: z.string(),
  start: seconds,
  end: seconds,
  confidence: z.number().min(0).max(1).optional(),
});

/** What a transcriber may have made up; `silence`: nothing is to be heard there. */
export const SegmentFlag = z.enum(["loop", "silence", "low-confidence"]);
export type SegmentFlag = z.infer<typeof SegmentFlag>;

export const Segment = z.object({
  /** `s0001`, unique in its transcript: what evidence points at. */
  id: z.string().regex(/^s\d{4,}$/),
  start: seconds,
  end: seconds,
  text: z.string(),
  speaker: z.string().nullable(),
  words: z.array(Word).optional(),
  confidence: z.number().min(0).max(1).optional(),
  flags: z.array(SegmentFlag).optional(),
});
export type Segment = z.infer<typeof Segment>;

export const Transcript = z.object({
  schema: z.literal(1),
  /** BCP 47; null where nobody said. */
  language: z.string().nullable(),
  duration: seconds,
  /** `captions:embedded`, `captions:sidecar`, or a provider's name. Never empty. */
  provider: z.string().min(1),
  model: z.string().nullable(),
  segments: z.array(Segment),
});
export type Transcript = z.infer<typeof Transcript>;

/** Returns the id of the segment at `index` (from 0). */
export function segmentId(index: number): string {
  return `s${String(index + 1).padStart(4, "0")}`;
}
