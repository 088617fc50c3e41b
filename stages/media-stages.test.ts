import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtemp, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

import { openMediaTools } from "../adapters/ffmpeg/media-tools.ts";
import { detectSandbox } from "../adapters/sandbox/detect-sandbox.ts";
import { openSandbox } from "../adapters/sandbox/sandboxed.ts";
import type { Captions } from "../core/captions.ts";
import { hasKind } from "../core/errors.ts";
import type { MediaInfo } from "../core/media-info.ts";
import type { Transcript } from "../core/transcript.ts";
import { runStage } from "../runner/stage-harness.ts";
import audio from "./audio.ts";
import captions from "./captions.ts";
import player from "./player.ts";
import probe, { describeMedia } from "./probe.ts";
import transcribe from "./transcribe.ts";

const platform = process.platform;
const tools = openMediaTools({
  sandbox: openSandbox(detectSandbox({ platform })),
  platform,
  path: process.env["PATH"] ?? "",
});

let dir = "";
const file = (name: string): string => join(dir, name);
const VTT = `WEBVTT

00:00:00.000 --> 00:00:01.000
<v Elena Vasquez>The bridge is closed.

00:00:01.000 --> 00:00:02.000
<v Tomas Okafor>Since when?
`;

before(async () => {
  dir = await mkdtemp(join(tmpdir(), "clipscribe-media-"));
  await writeFile(file("subs.srt"), "1\n00:00:00,100 --> 00:00:01,500\nELENA: Inside the file.\n");
  const video = ["-f", "lavfi", "-i", "testsrc=d=2:s=160x120:r=5"];
  const sound = ["-f", "lavfi", "-i", "sine=d=2"];
  const make = (...args: string[]): void => void execFileSync("ffmpeg", ["-v", "error", ...args]);
  make(
    ...video,
    ...sound,
    "-i",
    file("subs.srt"),
    "-c:s",
    "mov_text",
    "-metadata:s:s:0",
    "language=eng",
    "-metadata",
    "title=A \u001b[31mtitle",
    file("full.mp4"),
  );
  make(...sound, file("sound.mp3"));
  make(...video, file("silent.mp4"));
  await writeFile(file("text.mp4"), "this is no medium");
  await writeFile(file("empty.mp4"), "");
  make(...video, ...sound, "-movflags", "+faststart", file("cut.mp4"));
  await truncate(file("cut.mp4"), 6_000);
});
after(() => rm(dir, { recursive: true, force: true }));

describe("probe", () => {
  test("says what is in the file", async (t) => {
    const { json } = await runStage(t, probe, { input: { source: file("full.mp4") }, tools });

    const media = json["media"] as MediaInfo;
    assert.ok(Math.abs(media.duration - 2) < 0.2);
    assert.deepEqual(
      media.streams.map(({ kind }) => kind),
      ["video", "audio", "subtitle"],
    );
    assert.equal(media.streams[2]?.language, "eng");
    // oxlint-disable-next-line no-control-regex -- that is what must not be there
    assert.doesNotMatch(media.title ?? "", /\u001b/);
  });

  for (const name of ["text.mp4", "empty.mp4"]) {
    test(`${name} is refused with a hint`, async (t) => {
      const run = runStage(t, probe, { input: { source: file(name) }, tools });

      await assert.rejects(run, (error) => hasKind("contract")(error) && error.hint !== undefined);
    });
  }

  test("a truncated file is refused or read as far as it goes, never hung on", async (t) => {
    const run = runStage(t, probe, { input: { source: file("cut.mp4") }, tools });

    await run.catch((error: unknown) => assert.ok(hasKind("contract")(error)));
  });

  test("a second that claims to be a thousand hours is refused", () => {
    const streams = [{ index: 0, codec_type: "audio" }];
    const format = { format_name: "wav", duration: "3600000" };

    assert.throws(
      () => describeMedia({ streams, chapters: [], format }, "x", 9_000),
      hasKind("contract"),
    );
    assert.throws(
      () =>
        describeMedia(
          { streams, chapters: [], format: { ...format, duration: "36000" } },
          "x",
          9_000,
        ),
      hasKind("contract"),
    );
  });

  test("a recording that does not say how long it is, is measured", async (t) => {
    const webm = file("live.webm");
    const args = [
      "-v",
      "error",
      "-f",
      "lavfi",
      "-i",
      "sine=d=2",
      "-c:a",
      "libopus",
      "-f",
      "webm",
      "-live",
      "1",
      "pipe:1",
    ];
    await writeFile(webm, execFileSync("ffmpeg", args));

    const { json } = await runStage(t, probe, { input: { source: webm }, tools });

    assert.ok(Math.abs((json["media"] as MediaInfo).duration - 2) < 0.2);
  });

  test("ten hours in a plausible size pass", () => {
    const streams = [{ index: 0, codec_type: "audio" }];
    const format = { format_name: "ogg", duration: "36000" };

    assert.equal(
      describeMedia({ streams, chapters: [], format }, "x", 80_000_000).duration,
      36_000,
    );
  });
});

async function mediaOf(t: Parameters<typeof runStage>[0], name: string): Promise<unknown> {
  return (await runStage(t, probe, { input: { source: file(name) }, tools })).json["media"];
}

describe("audio", () => {
  test("gives speech for a transcriber, and of that the player's sound, the same bytes each time", async (t) => {
    const input = { source: file("full.mp4"), media: await mediaOf(t, "full.mp4") };
    const first = await runStage(t, audio, { input, tools });
    const second = await runStage(t, audio, { input, tools });

    assert.equal((await readFile(first.path("audio"))).subarray(0, 4).toString(), "OggS");
    assert.equal(first.artifacts["audio"]?.sha256, second.artifacts["audio"]?.sha256);
    const heard = { media: input.media, audio: first.path("audio") };
    const played = await runStage(t, player, { input: heard, tools });
    const again = await runStage(t, player, { input: heard, tools });
    assert.equal((await readFile(played.path("audio_m4a"))).subarray(4, 8).toString(), "ftyp");
    assert.equal(played.artifacts["audio_m4a"]?.sha256, again.artifacts["audio_m4a"]?.sha256);
  });

  test("an audio file gives the same", async (t) => {
    const input = { source: file("sound.mp3"), media: await mediaOf(t, "sound.mp3") };

    const made = await runStage(t, audio, { input, tools });

    assert.deepEqual(Object.keys(made.artifacts), ["audio"]);
  });

  test("sound that begins late stays late", async (t) => {
    const late = file("late.mkv");
    const sound = ["-itsoffset", "1.5", "-f", "lavfi", "-i", "sine=d=1"];
    const video = ["-f", "lavfi", "-i", "testsrc=d=3:s=64x64:r=5"];
    execFileSync("ffmpeg", ["-v", "error", ...video, ...sound, late]);
    const input = { source: late, media: await mediaOf(t, "late.mkv") };

    const made = await runStage(t, audio, { input, tools });
    const heard = { media: input.media, audio: made.path("audio") };
    const played = await runStage(t, player, { input: heard, tools });

    for (const path of [made.path("audio"), played.path("audio_m4a")]) {
      const entries = ["-show_entries", "stream=start_time:format=duration", "-of", "csv=p=0"];
      const shown = execFileSync("ffprobe", ["-v", "error", ...entries, path], {
        encoding: "utf8",
      });
      const [start = 0, duration = 0] = shown.trim().split("\n").map(Number);
      assert.ok(start < 0.1 && duration > 2.3, `${path} starts at ${start}, lasts ${duration}`);
    }
  });

  test("a video without sound gives none, and that is no error", async (t) => {
    const input = { source: file("silent.mp4"), media: await mediaOf(t, "silent.mp4") };

    const made = await runStage(t, audio, { input, tools });
    const played = await runStage(t, player, { input: { media: input.media }, tools });

    assert.deepEqual([made.artifacts, played.artifacts], [{}, {}]);
  });
});

describe("captions", () => {
  test("a file beside the medium comes before a stream inside it", async (t) => {
    await writeFile(file("full.en.vtt"), VTT);
    const input = {
      source: file("full.mp4"),
      media: await mediaOf(t, "full.mp4"),
      sidecars: [file("full.en.vtt")],
    };

    const { json } = await runStage(t, captions, { input, tools });

    const { tracks } = json["captions"] as Captions;
    assert.deepEqual(
      tracks.map(({ origin, language }) => [origin, language]),
      [
        ["sidecar", "en"],
        ["embedded", "en"],
      ],
    );
    assert.deepEqual(tracks[0]?.cues[0], {
      start: 0,
      end: 1,
      text: "The bridge is closed.",
      speaker: "Elena Vasquez",
    });
    assert.equal(tracks[1]?.cues[0]?.speaker, "Elena");
  });

  test("UTF-16 is read as what it says, Western bytes with a warning, others not at all", async (t) => {
    const vtt = "WEBVTT\n\n00:00:00.000 --> 00:00:01.000\nLe pont a été fermé.\n";
    await writeFile(file("wide.fr.vtt"), `\ufeff${vtt}`, "utf16le");
    await writeFile(file("narrow.fr.vtt"), vtt, "latin1");
    await writeFile(
      file("other.vtt"),
      Buffer.from(vtt.replace("Le pont", "Ìîñò çàêðûò"), "latin1"),
    );
    const names = ["wide.fr.vtt", "narrow.fr.vtt", "other.vtt"];
    const media = await mediaOf(t, "sound.mp3");
    const input = { source: file("sound.mp3"), media, sidecars: names.map(file) };

    const { json, log } = await runStage(t, captions, { input, tools });

    const { tracks } = json["captions"] as Captions;
    assert.deepEqual(
      tracks.map(({ label, cues }) => [label, cues[0]?.text]),
      [
        ["wide.fr.vtt", "Le pont a été fermé."],
        ["narrow.fr.vtt", "Le pont a été fermé."],
      ],
    );
    const said = log.map(({ message, details }) => `${message} ${String(details["file"])}`);
    assert.match(said[0] ?? "", /not Unicode: look at its accents.* narrow\.fr\.vtt/);
    assert.match(said[1] ?? "", /left out.*save it as UTF-8 other\.vtt/);
  });

  test("no captions are no artifact; an unusable file is said in the log", async (t) => {
    await writeFile(file("broken.vtt"), "WEBVTT\n\n00:00:09.000 --> 00:00:03.000\nbackwards\n");
    const media = await mediaOf(t, "sound.mp3");
    const input = { source: file("sound.mp3"), media, sidecars: [file("broken.vtt")] };

    const { artifacts, log } = await runStage(t, captions, { input, tools });

    assert.deepEqual(artifacts, {});
    assert.ok(log.some(({ level }) => level === "warn"));
  });
});

describe("transcribe", () => {
  const media = {
    schema: 1,
    container: "x",
    duration: 2,
    bit_rate: null,
    title: null,
    created_at: null,
    has_video: true,
    has_audio: true,
    streams: [],
    chapters: [],
  };
  const tracks = [
    {
      origin: "sidecar",
      language: "en",
      label: "a",
      cues: [{ start: 0, end: 1, text: "Hello.", speaker: null }],
    },
  ];

  test("captions become the transcript, and it says so", async (t) => {
    const { json } = await runStage(t, transcribe, {
      input: { media, captions: { schema: 1, tracks } },
    });

    const transcript = json["transcript"] as Transcript;
    assert.equal(transcript.provider, "captions:sidecar");
    assert.deepEqual(transcript.segments, [
      { id: "s0001", start: 0, end: 1, text: "Hello.", speaker: null },
    ]);
  });

  test("without captions and without a provider the item is held, with what to do", async (t) => {
    const run = runStage(t, transcribe, { input: { media, audio: file("sound.mp3") } });

    await assert.rejects(
      run,
      (error) => hasKind("config")(error) && /\.vtt/.test(error.hint ?? ""),
    );
  });

  test("a silent video without captions waits for captions", async (t) => {
    await assert.rejects(runStage(t, transcribe, { input: { media } }), hasKind("missing"));
  });

  test("a server without times is asked piece by piece, cut where it is silent", async (t) => {
    // Three tones of eight, ten and twenty seconds, a second of silence after each.
    const tone = (seconds: number) => [
      "-f",
      "lavfi",
      "-t",
      `${seconds}`,
      "-i",
      "sine=frequency=300",
    ];
    const pause = [
      "-f",
      "lavfi",
      "-t",
      "1",
      "-i",
      "anullsrc=channel_layout=mono:sample_rate=44100",
    ];
    const inputs = [8, 10, 20].flatMap((seconds) => [...tone(seconds), ...pause]);
    const joined = ["-filter_complex", "[0][1][2][3][4][5]concat=n=6:v=0:a=1", "-ar", "16000"];
    const path = file("pauses.ogg");
    execFileSync("ffmpeg", ["-v", "error", "-y", ...inputs, ...joined, "-c:a", "libopus", path]);
    const asked: number[] = [];

    const { json } = await runStage(t, transcribe, {
      input: { media: { ...media, duration: 41 }, audio: path },
      params: { at_once: 1 },
      tools,
      provider: { provider: "openai-compatible", model: "voxtral" },
      transcribe: ({ durationSeconds }) => {
        asked.push(Math.round(durationSeconds));
        const all = { start: 0, end: durationSeconds, text: `part ${asked.length}`, speaker: null };
        return Promise.resolve({ language: "en", segments: [all], isUntimed: true });
      },
    });

    assert.deepEqual(asked, [41, 20, 21]);
    const { segments } = json["transcript"] as Transcript;
    assert.deepEqual(
      segments.map(({ text, start, end }) => [text, Math.round(start), Math.round(end)]),
      [
        ["part 2", 0, 19],
        ["part 3", 20, 40],
      ],
    );
  });

  test("a configured transcriber is asked once, and its answer is ordered and numbered", async (t) => {
    const provider = { provider: "test", model: "m-1" };
    const segments = [
      { start: 1, end: 2, text: " second\u001b[0m ", speaker: "B" },
      { start: 0, end: 1, text: "first", speaker: null },
      { start: 1, end: 3, text: "  ", speaker: null },
      { start: 900, end: 901, text: "from another file", speaker: null },
    ];

    const { json } = await runStage(t, transcribe, {
      input: { media, audio: file("sound.mp3") },
      tools,
      provider,
      transcribe: () => Promise.resolve({ language: "en", segments }),
    });

    const transcript = json["transcript"] as Transcript;
    assert.deepEqual(
      transcript.segments.map(({ id, text }) => [id, text]),
      [
        ["s0001", "first"],
        ["s0002", "second"],
      ],
    );
    assert.deepEqual([transcript.provider, transcript.model], ["test", "m-1"]);
  });
});
