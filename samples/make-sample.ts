/**
 * Makes council-meeting.mp4 and its sidecar from council-meeting.script.json: two synthetic voices,
 * moving pictures, chapters, and the same captions inside and beside the file.
 *
 *   node samples/make-sample.ts       needs ffmpeg, espeak-ng and the DejaVu fonts
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

interface Script {
  title: string;
  artist: string;
  date: string;
  speakers: Record<string, { voice: string; speed: number; pitch: number; role: string }>;
  chapters: { title: string; lines: [speaker: string, text: string][] }[];
}

interface Line {
  speaker: string;
  text: string;
  start: number;
  end: number;
  wav: string;
}

const FONT = "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf";
const BOLD = "/usr/share/fonts/truetype/dejavu/DejaVuSans-Bold.ttf";
const TITLE_S = 3;
const PAUSE_S = 0.45;
/** Linear, -3 dBFS: AAC overshoots what it is given, and must not clip. */
const PEAK = 0.708;
const SCENES = [
  ["0x0b2239", "0x1d5c7d"],
  ["0x2b1a3a", "0x7d3b5c"],
  ["0x12301f", "0x3a7d5a"],
];

const dir = import.meta.dirname;
const script = JSON.parse(readFileSync(join(dir, "council-meeting.script.json"), "utf8")) as Script;
const work = mkdtempSync(join(tmpdir(), "make-sample-"));
try {
  const { lines, chapters, duration } = speak();
  writeFileSync(join(dir, "council-meeting.en.vtt"), toVtt(lines));
  writeFileSync(join(work, "subtitles.srt"), toSrt(lines));
  writeFileSync(join(work, "metadata.txt"), toMetadata(chapters));
  mix(lines, duration);
  render(lines, chapters, duration);
  console.log(`made council-meeting.mp4: ${Math.round(duration)} s, ${lines.length} captions`);
} finally {
  rmSync(work, { recursive: true, force: true });
}

function speak(): {
  lines: Line[];
  chapters: { title: string; start: number; end: number }[];
  duration: number;
} {
  const lines: Line[] = [];
  const chapters: { title: string; start: number; end: number }[] = [];
  let at = TITLE_S;
  for (const { title, lines: spoken } of script.chapters) {
    const start = chapters.length === 0 ? 0 : at;
    for (const [speaker, text] of spoken) {
      const wav = join(work, `${lines.length}.wav`);
      const { voice, speed, pitch } = script.speakers[speaker] ?? {
        voice: "en",
        speed: 150,
        pitch: 50,
      };
      execFileSync("espeak-ng", ["-v", voice, "-s", `${speed}`, "-p", `${pitch}`, "-w", wav, text]);
      const length = Number(
        execFileSync("ffprobe", [
          "-v",
          "error",
          "-of",
          "csv=p=0",
          "-show_entries",
          "format=duration",
          wav,
        ]),
      );
      lines.push({ speaker, text, start: at, end: at + length, wav });
      at += length + PAUSE_S;
    }
    chapters.push({ title, start, end: at });
  }
  return { lines, chapters, duration: at + 1 };
}

function mix(lines: readonly Line[], duration: number): void {
  const inputs = lines.flatMap(({ wav }) => ["-i", wav]);
  const delays = lines.map(
    ({ start }, at) => `[${at}]adelay=${Math.round(start * 1000)}:all=1[d${at}]`,
  );
  const joined = lines.map((_line, at) => `[d${at}]`).join("");
  const graph = `${delays.join(";")};${joined}amix=inputs=${lines.length}:normalize=0,apad=whole_dur=${duration},loudnorm=I=-16:TP=-1.5,aresample=44100,alimiter=limit=${PEAK}:level=0[a]`;
  ffmpeg([
    ...inputs,
    "-filter_complex",
    graph,
    "-map",
    "[a]",
    "-t",
    `${duration}`,
    join(work, "speech.wav"),
  ]);
}

function render(
  lines: readonly Line[],
  chapters: readonly { title: string; start: number; end: number }[],
  duration: number,
): void {
  const scenes = chapters.map(({ start, end }, at) => {
    const [from, to] = SCENES[at % SCENES.length] ?? [];
    const seconds = at === chapters.length - 1 ? duration - start : end - start;
    return `gradients=s=640x360:r=12:c0=${from}:c1=${to}:x0=0:y0=0:x1=640:y1=360:speed=0.012:seed=${at + 1}:d=${seconds}[s${at}]`;
  });
  const joined = `${chapters.map((_chapter, at) => `[s${at}]`).join("")}concat=n=${chapters.length}[scenes]`;
  const wave = "[0:a]showwaves=s=640x90:mode=cline:r=12:colors=white@0.35[wave]";
  const filters = ["[scenes][wave]overlay=0:150", ...titles(chapters), ...lowerThirds(lines)];
  const graph = [...scenes, joined, wave, `${filters.join(",")},format=yuv420p[v]`].join(";");
  ffmpeg([
    ...[
      "-i",
      join(work, "speech.wav"),
      "-i",
      join(work, "subtitles.srt"),
      "-i",
      join(work, "metadata.txt"),
    ],
    ...[
      "-filter_complex",
      graph,
      "-map",
      "[v]",
      "-map",
      "0:a",
      "-map",
      "1:s",
      "-map_metadata",
      "2",
    ],
    ...[
      "-c:v",
      "libx264",
      "-preset",
      "slow",
      "-crf",
      "32",
      "-g",
      "120",
      "-c:a",
      "aac",
      "-b:a",
      "64k",
      "-ac",
      "1",
    ],
    ...["-c:s", "mov_text", "-metadata:s:s:0", "language=eng", "-metadata:s:a:0", "language=eng"],
    ...[
      "-movflags",
      "+faststart",
      "-fflags",
      "+bitexact",
      "-t",
      `${duration}`,
      join(dir, "council-meeting.mp4"),
    ],
  ]);
}

function titles(chapters: readonly { title: string; start: number; end: number }[]): string[] {
  const text = (content: string, size: number, y: string, when: string, font = FONT): string =>
    `drawtext=fontfile=${font}:text='${escape(content)}':fontsize=${size}:fontcolor=white:x=(w-text_w)/2:y=${y}:enable='${when}'`;
  return [
    text("PORT ALDER CITY COUNCIL", 30, "96", `lt(t,${TITLE_S})`, BOLD),
    text("The Harbor Bridge · 17 March 2026", 18, "256", `lt(t,${TITLE_S})`),
    ...chapters.map(({ title, start, end }) =>
      text(title, 22, "40", `between(t,${Math.max(start, TITLE_S)},${end})`, BOLD),
    ),
  ];
}

function lowerThirds(lines: readonly Line[]): string[] {
  return lines.flatMap(({ speaker, start, end }) => {
    const when = `between(t,${start.toFixed(2)},${end.toFixed(2)})`;
    const role = script.speakers[speaker]?.role ?? "";
    const draw = (content: string, size: number, y: number, font: string): string =>
      `drawtext=fontfile=${font}:text='${escape(content)}':fontsize=${size}:fontcolor=white:x=36:y=${y}:enable='${when}'`;
    return [
      `drawbox=x=24:y=284:w=300:h=56:color=black@0.55:t=fill:enable='${when}'`,
      `drawbox=x=24:y=284:w=4:h=56:color=0xffc857:t=fill:enable='${when}'`,
      draw(speaker, 19, 293, BOLD),
      draw(role, 14, 318, FONT),
    ];
  });
}

function toVtt(lines: readonly Line[]): string {
  const cues = lines.map(
    ({ speaker, text, start, end }) =>
      `${timecode(start, ".")} --> ${timecode(end, ".")}\n<v ${speaker}>${text}\n`,
  );
  return `WEBVTT\n\n${cues.join("\n")}`;
}

function toSrt(lines: readonly Line[]): string {
  let last = "";
  return lines
    .map(({ speaker, text, start, end }, at) => {
      const name = speaker === last ? "" : `${speaker.toUpperCase()}: `;
      last = speaker;
      return `${at + 1}\n${timecode(start, ",")} --> ${timecode(end, ",")}\n${name}${text}\n`;
    })
    .join("\n");
}

function toMetadata(chapters: readonly { title: string; start: number; end: number }[]): string {
  const head = `;FFMETADATA1\ntitle=${script.title}\nartist=${script.artist}\ndate=${script.date}\n`;
  return chapters.reduce(
    (text, { title, start, end }) =>
      `${text}[CHAPTER]\nTIMEBASE=1/1000\nSTART=${Math.round(start * 1000)}\nEND=${Math.round(end * 1000)}\ntitle=${title}\n`,
    head,
  );
}

function timecode(seconds: number, separator: string): string {
  const total = Math.round(seconds * 1000);
  const two = (value: number): string => String(value).padStart(2, "0");
  const millis = String(total % 1000).padStart(3, "0");
  return `${two(Math.floor(total / 3_600_000))}:${two(Math.floor(total / 60_000) % 60)}:${two(Math.floor(total / 1000) % 60)}${separator}${millis}`;
}

function escape(text: string): string {
  return text
    .replaceAll("\\", "\\\\")
    .replaceAll(":", "\\:")
    .replaceAll("'", "’")
    .replaceAll("%", "\\%");
}

function ffmpeg(args: string[]): void {
  execFileSync("ffmpeg", ["-hide_banner", "-v", "error", "-y", ...args], { stdio: "inherit" });
}
