/**
 * Looks into a medium: streams, duration, chapters. What is no medium, or lies about itself, ends
 * here with a clear error, before anything is spent on it.
 */
import { z } from "zod";

import { ClipscribeError } from "../core/errors.ts";
import { MediaInfo } from "../core/media-info.ts";
import type { MediaStream } from "../core/media-info.ts";
import { safeLine } from "../core/safe-text.ts";
import { defineStage, file, json } from "../core/stage.ts";
import type { InputFile, StageContext } from "../core/stage.ts";

/** A file with more streams is an attack on whoever opens each. */
const MAX_STREAMS = 256;
/** Four days without a break: nobody recorded that. */
const MAX_DURATION_S = 100 * 3600;
/** Silence in the most frugal codec still takes about 100 bytes a second. */
const MIN_BYTES_PER_SECOND = 20;
/** Ten hours of packets, one line each. */
const MAX_PACKET_LIST_BYTES = 128 * 1024 * 1024;
/** Below this length a small file is not suspicious. */
const SUSPICIOUS_FROM_S = 600;

export default defineStage({
  input: { source: file({ mediaType: "*/*" }) },
  output: { media: json(MediaInfo) },
  params: z.strictObject({}),
  needs: { tools: ["ffprobe"], sourceSound: true },

  estimate: () => ({ seconds: 1, costUsd: 0 }),

  async run({ input, ctx }) {
    const { source } = input;
    if (source.sizeBytes === 0) {
      throw new ClipscribeError("contract", "the file is empty", {
        details: { file: safeLine(source.name) },
        hint: "if it lives in a cloud folder, let it download first; then drop it again",
      });
    }
    const { stdout } = await ctx.tool("ffprobe", [
      "-v",
      "error",
      "-of",
      "json",
      "-show_format",
      "-show_streams",
      "-show_chapters",
      source.path,
    ]);
    const media = describeMedia(parseProbe(stdout), source.name, source.sizeBytes);
    if (media.duration > 0) return { media };
    ctx.log.warn("the file does not say how long it is; its packets are counted");
    return { media: { ...media, duration: await measureDuration(source, ctx) } };
  },
});

/** Recordings of browsers and of live streams have no duration: the last packet tells. */
async function measureDuration(source: InputFile, ctx: StageContext): Promise<number> {
  const packets = ["-show_entries", "packet=pts_time,duration_time", "-of", "csv=p=0"];
  const { stdout } = await ctx.tool("ffprobe", ["-v", "error", ...packets, source.path], {
    maxStdoutBytes: MAX_PACKET_LIST_BYTES,
  });
  let end = 0;
  for (const line of stdout.split("\n")) {
    const [at = 0, length = 0] = line.split(",").map((text) => Number(text) || 0);
    end = Math.max(end, at + length);
  }
  if (end > 0) return end;
  throw new ClipscribeError("contract", "nobody can tell how long the file is", {
    details: { file: safeLine(source.name) },
    hint: "convert it with a program you trust, then drop it again",
  });
}

const tags = z.record(z.string(), z.string()).catch({});
const ProbeStream = z.object({
  index: z.int(),
  codec_type: z.string().optional(),
  codec_name: z.string().optional(),
  width: z.number().optional(),
  height: z.number().optional(),
  avg_frame_rate: z.string().optional(),
  channels: z.number().optional(),
  sample_rate: z.string().optional(),
  disposition: z.record(z.string(), z.number()).optional(),
  tags: tags.optional(),
});
const Probe = z.object({
  streams: z.array(ProbeStream).default([]),
  chapters: z
    .array(z.object({ start_time: z.string(), end_time: z.string(), tags: tags.optional() }))
    .default([]),
  format: z.object({
    format_name: z.string(),
    duration: z.string().optional(),
    bit_rate: z.string().optional(),
    tags: tags.optional(),
  }),
});
type Probe = z.infer<typeof Probe>;

function parseProbe(stdout: string): Probe {
  try {
    return Probe.parse(JSON.parse(stdout));
  } catch (cause) {
    throw new ClipscribeError("contract", "ffprobe's answer can't be read", {
      hint: "the file is damaged or no audio or video; play it, then drop a good copy",
      cause,
    });
  }
}

/** Pure, and exported for its own tests. */
export function describeMedia(probe: Probe, name: string, sizeBytes: number): MediaInfo {
  const streams = probe.streams.slice(0, MAX_STREAMS).map(describeStream);
  const has = (kind: MediaStream["kind"]): boolean => streams.some((each) => each.kind === kind);
  const shown = safeLine(name);
  if (!has("audio") && !has("video")) {
    throw new ClipscribeError("contract", "the file has neither sound nor pictures", {
      details: { file: shown, container: probe.format.format_name },
      hint: "drop an audio or video file",
    });
  }
  if (probe.streams.length > MAX_STREAMS) {
    throw new ClipscribeError("contract", "the file has too many streams", {
      details: { file: shown, streams: probe.streams.length, limit: MAX_STREAMS },
    });
  }
  const duration = Math.max(0, Number(probe.format.duration ?? 0) || 0);
  const isThin = duration > SUSPICIOUS_FROM_S && sizeBytes / duration < MIN_BYTES_PER_SECOND;
  if (duration > MAX_DURATION_S || isThin) {
    throw new ClipscribeError("contract", "the file claims to be longer than it can be", {
      details: { file: shown, hours: Math.round(duration / 360) / 10, bytes: sizeBytes },
      hint: "it is damaged or a trap; convert it with a program you trust, then drop it again",
    });
  }
  const { tags: formatTags = {} } = probe.format;
  return {
    schema: 1,
    container: probe.format.format_name,
    duration,
    bit_rate: Number(probe.format.bit_rate) || null,
    title: tagOf(formatTags, "title"),
    created_at: tagOf(formatTags, "creation_time") ?? tagOf(formatTags, "date"),
    has_video: has("video"),
    has_audio: has("audio"),
    streams,
    chapters: probe.chapters.map((chapter, index) => ({
      start: Math.max(0, Number(chapter.start_time) || 0),
      end: Math.max(0, Number(chapter.end_time) || 0),
      title: tagOf(chapter.tags ?? {}, "title") ?? `Chapter ${index + 1}`,
    })),
  };
}

function describeStream(stream: Probe["streams"][number]): MediaStream {
  const [frames, seconds] = (stream.avg_frame_rate ?? "").split("/").map(Number);
  const { tags: streamTags = {}, disposition = {} } = stream;
  return {
    index: stream.index,
    kind: kindOf(stream),
    codec: stream.codec_name ?? "unknown",
    language: languageOf(tagOf(streamTags, "language")),
    title: tagOf(streamTags, "title") ?? tagOf(streamTags, "handler_name"),
    is_default: disposition["default"] === 1,
    is_forced: disposition["forced"] === 1,
    width: stream.width ?? null,
    height: stream.height ?? null,
    frame_rate: frames && seconds ? Math.round((frames / seconds) * 1000) / 1000 : null,
    channels: stream.channels ?? null,
    sample_rate: Number(stream.sample_rate) || null,
  };
}

function kindOf({ codec_type, disposition }: Probe["streams"][number]): MediaStream["kind"] {
  // A cover picture is no moving picture.
  if (codec_type === "video") return disposition?.["attached_pic"] === 1 ? "other" : "video";
  const kinds = ["audio", "subtitle", "data", "attachment"] as const;
  return kinds.find((kind) => kind === codec_type) ?? "other";
}

function languageOf(tag: string | null): string | null {
  return tag === null || tag === "und" || !/^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$/.test(tag)
    ? null
    : tag;
}

/** Tags are written in any case, and hold anything. */
function tagOf(all: Record<string, string>, name: string): string | null {
  const found = Object.entries(all).find(([key]) => key.toLowerCase() === name)?.[1];
  const text = found === undefined ? "" : safeLine(found, 300);
  return text === "" ? null : text;
}
