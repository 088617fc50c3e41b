/** Caption tracks found with a medium: the artifact `captions`. Times are seconds from the start. */
import { z } from "zod";

const seconds = z.number().min(0);

export const Cue = z.object({
  start: seconds,
  end: seconds,
  /** Plain text: no markup, no control codes; lines joined by a space. */
  text: z.string(),
  speaker: z.string().nullable(),
});
export type Cue = z.infer<typeof Cue>;

export const CaptionTrack = z.object({
  /** `sidecar`: a file beside the medium; `embedded`: a subtitle stream inside it. */
  origin: z.enum(["sidecar", "embedded"]),
  /** BCP 47 where somebody said it. */
  language: z.string().nullable(),
  /** For a person: the sidecar's file name or the stream's title. */
  label: z.string(),
  cues: z.array(Cue).min(1),
});
export type CaptionTrack = z.infer<typeof CaptionTrack>;

export const Captions = z.object({
  schema: z.literal(1),
  /** Best first. */
  tracks: z.array(CaptionTrack).min(1),
});
export type Captions = z.infer<typeof Captions>;
