/** What ffprobe says of a medium, reduced to what the pipeline uses: the artifact `media`. */
import { z } from "zod";

const seconds = z.number().min(0);

export const MediaStream = z.object({
  index: z.int().min(0),
  kind: z.enum(["video", "audio", "subtitle", "data", "attachment", "other"]),
  codec: z.string(),
  language: z.string().nullable(),
  title: z.string().nullable(),
  is_default: z.boolean(),
  /** Subtitles for signs and foreign words only. */
  is_forced: z.boolean(),
  width: z.int().nullable(),
  height: z.int().nullable(),
  frame_rate: z.number().nullable(),
  channels: z.int().nullable(),
  sample_rate: z.int().nullable(),
});
export type MediaStream = z.infer<typeof MediaStream>;

export const MediaInfo = z.object({
  schema: z.literal(1),
  container: z.string(),
  duration: seconds,
  bit_rate: z.number().nullable(),
  title: z.string().nullable(),
  created_at: z.string().nullable(),
  has_video: z.boolean(),
  has_audio: z.boolean(),
  streams: z.array(MediaStream),
  chapters: z.array(z.object({ start: seconds, end: seconds, title: z.string() })),
});
export type MediaInfo = z.infer<typeof MediaInfo>;
