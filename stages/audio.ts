/**
 * Takes the speech out of a medium: mono 16 kHz Opus for transcribers. 500 MB of video become
 * 10 MB, which is all that has to leave the laptop.
 */
import { z } from "zod";

import { MediaInfo } from "../core/media-info.ts";
import type { MediaStream } from "../core/media-info.ts";
import { defineStage, file, json } from "../core/stage.ts";

export default defineStage({
  input: { source: file({ mediaType: "*/*" }), media: json(MediaInfo) },
  output: { audio: file({ mediaType: "audio/ogg", optional: true }) },
  params: z.strictObject({
    codec: z.enum(["opus"]).default("opus"),
    bitrate_kbps: z.int().min(8).max(128).default(24),
  }),
  needs: { tools: ["ffmpeg"], sourceSound: true },
  estimate: ({ mediaSeconds }) => ({ seconds: 1 + mediaSeconds / 60, costUsd: 0 }),

  async run({ input, params, ctx }) {
    const stream = speechStream(input.media);
    if (stream === undefined) {
      ctx.log.warn("the file has no audio stream");
      return { audio: undefined };
    }
    const audio = await ctx.outputFile("speech.ogg");
    // Bit-exact and without metadata: equal input gives equal bytes, and no title leaks.
    // Sound that begins late is filled with silence: a quote's second is that of the video.
    const inStep = ["-af", "aresample=async=1:first_pts=0"];
    const plain = [...inStep, "-vn", "-sn", "-dn", "-map", `0:${stream.index}`, "-ac", "1"];
    const exact = [
      "-map_metadata",
      "-1",
      "-map_chapters",
      "-1",
      "-fflags",
      "+bitexact",
      "-flags:a",
      "+bitexact",
    ];
    await ctx.tool(
      "ffmpeg",
      [
        ...["-v", "error", "-nostats", "-progress", "pipe:2", "-i", input.source.path],
        ...[...plain, "-ar", "16000", "-c:a", "libopus", "-b:a", `${params.bitrate_kbps}k`],
        ...["-application", "voip", ...exact, "-f", "ogg", audio.path],
      ],
      {
        onLine: (line) => {
          const microseconds = /^out_time_us=(\d+)$/.exec(line)?.[1];
          if (microseconds === undefined || input.media.duration === 0) return;
          ctx.progress(Number(microseconds) / 1e6 / input.media.duration, "taking the sound out");
        },
      },
    );
    return { audio };
  },
});

/** The stream that a player would play: the default one, else the first. */
export function speechStream(media: MediaInfo): MediaStream | undefined {
  const streams = media.streams.filter(({ kind }) => kind === "audio");
  return streams.find((stream) => stream.is_default) ?? streams[0];
}
