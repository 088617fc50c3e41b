/** Checks the committed sample against its script, with ffprobe and ffmpeg only: no voices needed. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { extname, join } from "node:path";
import { describe, test } from "node:test";

interface Script {
  title: string;
  artist: string;
  date: string;
  chapters: { title: string; lines: [speaker: string, text: string][] }[];
}

interface Probe {
  streams: { codec_type: string; codec_name: string; height?: number; channels?: number }[];
  chapters: { start_time: string; end_time: string; tags: { title: string } }[];
  format: { duration: string; tags: Record<string, string> };
}

interface Cue {
  startS: number;
  endS: number;
  text: string;
}

/** A clone stays small: the video is the biggest file of the repository. */
const MAX_SIZE_BYTES = 4_000_000;
/** Long enough for chapters and a graph, short enough for a first run. */
const MIN_DURATION_S = 150;
const MAX_DURATION_S = 240;
/** Streaming loudness is -16 LUFS; a listener hears no difference of 1.5 LU. */
const LOUDNESS_LUFS = -16;
const LOUDNESS_TOLERANCE_LU = 1.5;
/** Both caption files count in milliseconds. */
const CUE_TOLERANCE_S = 0.002;
const MEDIA = [".mp4", ".mov", ".mkv", ".webm", ".m4a", ".mp3", ".wav", ".flac", ".ogg", ".opus"];

const dir = import.meta.dirname;
const video = join(dir, "council-meeting.mp4");
const script = JSON.parse(readFileSync(join(dir, "council-meeting.script.json"), "utf8")) as Script;
const lines = script.chapters.flatMap((chapter) => chapter.lines);
const sidecar = readFileSync(join(dir, "council-meeting.en.vtt"), "utf8");
const probe = JSON.parse(
  execFileSync(
    "ffprobe",
    [...["-v", "error", "-of", "json", "-show_streams", "-show_chapters", "-show_format"], video],
    { encoding: "utf8" },
  ),
) as Probe;
const durationS = Number(probe.format.duration);

describe("the sample video", () => {
  test("is the only media file of its folder", () => {
    const media = readdirSync(dir).filter((name) => MEDIA.includes(extname(name).toLowerCase()));

    assert.deepEqual(media, ["council-meeting.mp4"]);
  });

  test("is small and of a bounded length", () => {
    const sizeBytes = statSync(video).size;

    assert.ok(sizeBytes < MAX_SIZE_BYTES, `${sizeBytes} bytes`);
    assert.ok(durationS > MIN_DURATION_S && durationS < MAX_DURATION_S, `${durationS} s`);
  });

  test("has H.264 pictures of 360 lines, one AAC voice track and captions", () => {
    const stream = (type: string) => probe.streams.filter(({ codec_type }) => codec_type === type);

    const [picture, sound, captions] = [stream("video"), stream("audio"), stream("subtitle")];

    assert.deepEqual(
      picture.map(({ codec_name, height }) => [codec_name, height]),
      [["h264", 360]],
    );
    assert.deepEqual(
      sound.map(({ codec_name, channels }) => [codec_name, channels]),
      [["aac", 1]],
    );
    assert.deepEqual(
      captions.map(({ codec_name }) => codec_name),
      ["mov_text"],
    );
  });

  test("carries the title, artist and date of its script", () => {
    const { title, artist, date } = probe.format.tags;

    assert.deepEqual(
      { title, artist, date },
      { title: script.title, artist: script.artist, date: script.date },
    );
  });

  test("has the chapters of its script, in order, without gaps, within the video", () => {
    const titles = probe.chapters.map(({ tags }) => tags.title);
    const starts = probe.chapters.map(({ start_time }) => Number(start_time));
    const ends = probe.chapters.map(({ end_time }) => Number(end_time));

    assert.deepEqual(
      titles,
      script.chapters.map(({ title }) => title),
    );
    assert.deepEqual(starts, [0, ...ends.slice(0, -1)]);
    assert.ok((ends.at(-1) ?? Infinity) <= durationS);
  });

  test("is as loud as speech on the web", () => {
    const log = execFileSync(
      "sh",
      [
        "-c",
        'ffmpeg -hide_banner -nostats -i "$1" -vn -af ebur128 -f null - 2>&1 | tail -n 20',
        "sh",
        video,
      ],
      { encoding: "utf8" },
    );

    const loudness = Number(/Integrated loudness:\s+I:\s+(-?[\d.]+) LUFS/.exec(log)?.[1]);

    assert.ok(Math.abs(loudness - LOUDNESS_LUFS) <= LOUDNESS_TOLERANCE_LU, `${loudness} LUFS`);
  });
});

describe("the sample captions", () => {
  const beside = readCues(sidecar);
  const inside = readCues(
    execFileSync("ffmpeg", ["-v", "error", "-i", video, "-map", "0:s:0", "-f", "srt", "-"], {
      encoding: "utf8",
    }),
  );

  test("say beside the file, with voices, exactly what the script says", () => {
    assert.deepEqual(
      beside.map(({ text }) => text),
      lines.map(([speaker, text]) => `<v ${speaker}>${text}`),
    );
  });

  test("say inside the file the same, with the name at a change of speaker", () => {
    assert.deepEqual(
      inside.map(({ text }) => text),
      lines.map(([speaker, text], at) =>
        speaker === lines[at - 1]?.[0] ? text : `${speaker.toUpperCase()}: ${text}`,
      ),
    );
  });

  test("are shown at the same time beside and inside the file", () => {
    assert.equal(inside.length, beside.length);
    for (const [at, cue] of beside.entries()) {
      assert.ok(Math.abs(cue.startS - (inside[at]?.startS ?? NaN)) <= CUE_TOLERANCE_S, cue.text);
      assert.ok(Math.abs(cue.endS - (inside[at]?.endS ?? NaN)) <= CUE_TOLERANCE_S, cue.text);
    }
  });

  test("follow each other without overlap and end before the video", () => {
    let lastS = 0;
    for (const { startS, endS, text } of beside) {
      assert.ok(startS >= lastS && endS > startS, text);
      lastS = endS;
    }

    assert.ok(lastS < durationS);
  });
});

/** Reads blocks of `start --> end` and text, as both WebVTT and SubRip write them; seconds. */
function readCues(text: string): Cue[] {
  return text
    .replaceAll("\r", "")
    .trim()
    .split("\n\n")
    .filter((block) => block.includes(" --> "))
    .map((block) => {
      const rows = block.split("\n");
      const timing = rows.findIndex((row) => row.includes(" --> "));
      const [start = "", end = ""] = (rows[timing] ?? "").split(" --> ");
      return {
        startS: readTime(start),
        endS: readTime(end),
        text: rows.slice(timing + 1).join("\n"),
      };
    });
}

function readTime(time: string): number {
  const [hours, minutes, seconds] = time.replace(",", ".").split(":").map(Number);
  return (hours ?? NaN) * 3600 + (minutes ?? NaN) * 60 + (seconds ?? NaN);
}
