/**
 * Finds the captions that came with a medium: files beside it, text subtitle streams inside it.
 * Pictures of text (DVD, Blu-ray) can't be read; they are named in the log.
 */
import { z } from "zod";

import { Captions } from "../core/captions.ts";
import type { CaptionTrack } from "../core/captions.ts";
import { asClipscribeError } from "../core/errors.ts";
import { MediaInfo } from "../core/media-info.ts";
import type { MediaStream } from "../core/media-info.ts";
import { safeLine } from "../core/safe-text.ts";
import { defineStage, file, files, json } from "../core/stage.ts";
import type { InputFile, StageContext } from "../core/stage.ts";
import { decodeCaptions } from "./captions-text/decode-captions.ts";
import { parseCaptions } from "./captions-text/parse-captions.ts";
import type { CaptionFormat } from "./captions-text/parse-captions.ts";

const IMAGE_CODECS = ["dvd_subtitle", "hdmv_pgs_subtitle", "dvb_subtitle", "xsub", "dvb_teletext"];
/** More tracks than this are dubs of dubs. */
const MAX_TRACKS = 40;
/** A track with fewer words an hour shows signs and songs, not what was said. */
const MIN_WORDS_PER_HOUR = 60;

export default defineStage({
  input: {
    source: file({ mediaType: "*/*" }),
    sidecars: files({ mediaType: "text/plain" }),
    media: json(MediaInfo),
  },
  output: { captions: json(Captions, { optional: true }) },
  params: z.strictObject({
    /** Preferred languages, best first, as BCP 47 (`en`, `pt-BR`). */
    languages: z.array(z.string().min(2).max(20)).max(20).default(["en"]),
  }),
  needs: { tools: ["ffmpeg"], sourceSound: true },

  estimate: ({ mediaSeconds }) => ({ seconds: 1 + mediaSeconds / 1_800, costUsd: 0 }),

  async run({ input, params, ctx }) {
    const found: CaptionTrack[] = [];
    for (const sidecar of input.sidecars.slice(0, MAX_TRACKS)) {
      const track = await readSidecar(sidecar, input.media.duration, ctx);
      if (track !== undefined) found.push(track);
    }
    const subtitles = input.media.streams.filter(({ kind }) => kind === "subtitle");
    const streams = subtitles.filter(({ is_forced }) => !is_forced);
    if (streams.length < subtitles.length) {
      ctx.log.warn("subtitles for signs and foreign words only are no transcript", {
        streams: subtitles.length - streams.length,
      });
    }
    for (const stream of streams.slice(0, MAX_TRACKS)) {
      const track = await readStream(input.source, stream, input.media.duration, ctx);
      if (track !== undefined) found.push(track);
    }
    const spoken = found.filter((track) => isSpoken(track, input.media.duration, ctx));
    if (spoken.length === 0) return { captions: undefined };
    return { captions: { schema: 1 as const, tracks: orderTracks(spoken, params.languages) } };
  },
});

/** By language as preferred; a sidecar before a stream, since a person put it there. */
export function orderTracks(
  tracks: readonly CaptionTrack[],
  languages: readonly string[],
): CaptionTrack[] {
  const rankOf = ({ language }: CaptionTrack): number => {
    if (language === null) return languages.length - 0.5;
    const rank = languages.findIndex((wanted) => isSameLanguage(wanted, language));
    return rank === -1 ? languages.length : rank;
  };
  const originOf = ({ origin }: CaptionTrack): number => (origin === "sidecar" ? 0 : 1);
  return tracks.toSorted((a, b) => rankOf(a) - rankOf(b) || originOf(a) - originOf(b));
}

/** ISO 639-2 (as in files) to 639-1, for the languages that journalism meets most. */
const TWO_LETTERS: Record<string, string> = {
  eng: "en",
  deu: "de",
  ger: "de",
  fra: "fr",
  fre: "fr",
  spa: "es",
  ita: "it",
  por: "pt",
  nld: "nl",
  dut: "nl",
  rus: "ru",
  ukr: "uk",
  pol: "pl",
  ara: "ar",
  zho: "zh",
  chi: "zh",
  jpn: "ja",
  kor: "ko",
  tur: "tr",
  swe: "sv",
  nor: "no",
  dan: "da",
  fin: "fi",
  ces: "cs",
  cze: "cs",
  ell: "el",
  gre: "el",
  heb: "he",
  hin: "hi",
  fas: "fa",
};

function isSameLanguage(a: string, b: string): boolean {
  return baseLanguage(a) === baseLanguage(b);
}

function baseLanguage(tag: string): string {
  const base = tag.toLowerCase().split("-")[0] ?? "";
  return TWO_LETTERS[base] ?? base;
}

async function readSidecar(
  sidecar: InputFile,
  duration: number,
  ctx: StageContext,
): Promise<CaptionTrack | undefined> {
  const name = safeLine(sidecar.name, 200);
  const extension = /\.([a-z]+)$/i.exec(sidecar.name)?.[1]?.toLowerCase();
  const format: CaptionFormat = extension === "srt" ? "srt" : "vtt";
  const language =
    /\.([A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8})?)\.[a-z]+$/.exec(sidecar.name)?.[1] ?? null;
  const decoded = decodeCaptions(
    await ctx.readBytes(sidecar),
    language === null ? null : baseLanguage(language),
  );
  if (decoded === undefined) {
    ctx.log.warn("a caption file was left out: its letters can't be told; save it as UTF-8", {
      file: name,
    });
    return undefined;
  }
  const { text, encoding, isCertain } = decoded;
  if (!isCertain) {
    ctx.log.warn("a caption file is not Unicode: look at its accents, or save it as UTF-8", {
      file: name,
      read_as: encoding,
    });
  }
  return parseTrack(text, format, duration, ctx, {
    origin: "sidecar",
    language: language === null ? null : baseLanguage(language),
    label: name,
  });
}

async function readStream(
  source: InputFile,
  stream: MediaStream,
  duration: number,
  ctx: StageContext,
): Promise<CaptionTrack | undefined> {
  const label = stream.title ?? `stream ${stream.index}`;
  if (IMAGE_CODECS.includes(stream.codec)) {
    ctx.log.warn("a subtitle track holds pictures of text and can't be read", {
      stream: stream.index,
      codec: stream.codec,
    });
    return undefined;
  }
  const out = await ctx.outputFile(`subtitles-${stream.index}.vtt`);
  const convert = ["-map", `0:${stream.index}`, "-c:s", "webvtt", "-f", "webvtt", out.path];
  try {
    await ctx.tool("ffmpeg", ["-v", "error", "-i", source.path, ...convert]);
  } catch (thrown) {
    const error = asClipscribeError(thrown);
    if (error.kind !== "contract") throw error;
    ctx.log.warn("a subtitle track can't be read", { stream: stream.index, error: error.message });
    return undefined;
  }
  const language = stream.language === null ? null : baseLanguage(stream.language);
  const about = { origin: "embedded" as const, language, label };
  return parseTrack(await ctx.readText(out), "vtt", duration, ctx, about);
}

async function parseTrack(
  text: string,
  format: CaptionFormat,
  duration: number,
  ctx: StageContext,
  about: Omit<CaptionTrack, "cues">,
): Promise<CaptionTrack | undefined> {
  const { cues, problems } = await parseCaptions(text, format, duration);
  if (Object.keys(problems).length > 0) {
    ctx.log.warn("some captions were left out or repaired", { track: about.label, ...problems });
  }
  if (cues.length > 0) return { ...about, cues };
  ctx.log.warn("a caption track has no usable caption", { track: about.label });
  return undefined;
}

function isSpoken(track: CaptionTrack, duration: number, ctx: StageContext): boolean {
  const words = track.cues.reduce((sum, { text }) => sum + text.split(" ").length, 0);
  const enough = duration < 60 || words >= (duration / 3600) * MIN_WORDS_PER_HOUR;
  if (!enough) {
    ctx.log.warn("a caption track holds too few words to be what was said", {
      track: track.label,
      words,
    });
  }
  return enough;
}
