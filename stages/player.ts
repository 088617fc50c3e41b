/**
 * The sound that the report's player plays: AAC in MP4, which Safari, Firefox and Chromium play.
 * Made from the transcribers' Opus, so that a laptop has to send only that: people hear what was
 * transcribed, with the same seconds.
 */
import { z } from "zod";

import { MediaInfo } from "../core/media-info.ts";
import { defineStage, file, json } from "../core/stage.ts";

/** More would keep what 24 kbit/s of Opus does not have. */
const KBPS = 48;

export default defineStage({
  input: { media: json(MediaInfo), audio: file({ mediaType: "audio/ogg", optional: true }) },
  output: {
    audio_m4a: file({ mediaType: "audio/mp4", fileName: "audio.m4a", optional: true }),
  },
  params: z.strictObject({}),
  needs: { tools: ["ffmpeg"] },
  estimate: ({ mediaSeconds }) => ({ seconds: 1 + mediaSeconds / 120, costUsd: 0 }),

  async run({ input, ctx }) {
    if (input.audio === undefined) return { audio_m4a: undefined };
    const player = await ctx.outputFile("audio.m4a");
    // Bit-exact and without metadata: equal input gives equal bytes.
    const exact = ["-map_metadata", "-1", "-fflags", "+bitexact", "-flags:a", "+bitexact"];
    await ctx.tool(
      "ffmpeg",
      [
        ...["-v", "error", "-nostats", "-progress", "pipe:2", "-i", input.audio.path],
        ...["-map", "0:a:0", "-ac", "1", "-c:a", "aac", "-b:a", `${KBPS}k`],
        ...["-movflags", "+faststart", ...exact, "-f", "mp4", player.path],
      ],
      {
        onLine: (line) => {
          const microseconds = /^out_time_us=(\d+)$/.exec(line)?.[1];
          if (microseconds === undefined || input.media.duration === 0) return;
          ctx.progress(Number(microseconds) / 1e6 / input.media.duration, "for the player");
        },
      },
    );
    return { audio_m4a: player };
  },
});
