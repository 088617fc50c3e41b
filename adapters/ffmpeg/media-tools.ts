/**
 * ffmpeg and ffprobe for stages, as sandboxed children. Every input is opened with a whitelist of
 * protocols (`file`, `pipe`) and of real container formats: a playlist that calls itself `.mp4`
 * (m3u8, concat, HLS in AVI) opens nothing. https://ffmpeg.org/ffmpeg-formats.html#Format-Options
 */
import { accessSync, constants } from "node:fs";
import { basename, delimiter, dirname, join } from "node:path";

import { ClipscribeError, DISK_FULL } from "../../core/errors.ts";
import { safeLine } from "../../core/safe-text.ts";
import { MEDIA_TOOLS } from "../../core/stage.ts";
import type { MediaToolName } from "../../core/stage.ts";
import type { MediaToolCall, MediaToolResult, MediaTools } from "../../ports/media-tools.ts";
import type { Sandbox, SandboxedResult } from "../sandbox/sandboxed.ts";

/** Containers that hold their media themselves; no playlists, devices or image sequences. */
const FORMATS =
  "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mp3,wav,w64,flac,ogg,aac,ac3,eac3,aiff,amr,asf,caf,flv,mpeg,mpegts,mpegvideo,opus,wv,ape,dts,m4v,h264,hevc,mxf,rm,au,gsm,tta,voc";
const INPUT_GUARD = ["-protocol_whitelist", "file,pipe", "-format_whitelist", FORMATS];

/** Ten hours of 4K decode within 1 GiB; a bomb of pixels asks for more. */
const MEMORY_BYTES = 3 * 1024 ** 3;
/** The longest stage there is: a day, on several cores. */
const CPU_SECONDS = 4 * 24 * 60 * 60;
/** A recording of ten hours as PCM fits. */
const FILE_BYTES = 16 * 1024 ** 3;
const VERSION_TIMEOUT_MS = 10_000;

export interface MediaToolsOptions {
  sandbox: Sandbox;
  /** `PATH` of the person's shell. */
  path: string;
  platform: NodeJS.Platform;
}

export function openMediaTools(options: MediaToolsOptions): MediaTools {
  const { sandbox, platform } = options;
  const programs = new Map<MediaToolName, string | undefined>();
  let known: Promise<Record<string, string>> | undefined;

  function programOf(tool: MediaToolName): string | undefined {
    if (!programs.has(tool)) programs.set(tool, findProgram(tool, options.path));
    return programs.get(tool);
  }

  return {
    async run(call) {
      const program = programOf(call.tool);
      if (program === undefined) throw notInstalled(call.tool, platform);
      const result = await sandbox.run({
        program,
        args: guardArguments(call.tool, call.args),
        readable: call.readable,
        writableDir: call.writableDir,
        network: "none",
        caps: { memoryBytes: MEMORY_BYTES, cpuSeconds: CPU_SECONDS, fileBytes: FILE_BYTES },
        timeoutMs: call.timeoutMs,
        maxStdoutBytes: call.maxStdoutBytes,
        onLine: call.onLine,
        signal: call.signal,
      });
      return checkResult(call, result);
    },

    versions() {
      known ??= readVersions(sandbox, programOf);
      return known;
    },
  };
}

/** Absolute path of a program on PATH or where package managers put it. */
export function findProgram(name: string, path: string): string | undefined {
  const folders = [...path.split(delimiter), "/usr/bin", "/usr/local/bin", "/opt/homebrew/bin"];
  for (const folder of folders) {
    if (!folder.startsWith("/")) continue;
    const program = join(folder, name);
    try {
      accessSync(program, constants.X_OK);
      return program;
    } catch {
      // Not in this folder.
    }
  }
  return undefined;
}

/** Exported for its test: puts the guard before every input. */
export function guardArguments(tool: MediaToolName, args: readonly string[]): string[] {
  if (tool === "ffprobe") return ["-hide_banner", ...INPUT_GUARD, ...args];
  const guarded = args.flatMap((arg) => (arg === "-i" ? [...INPUT_GUARD, "-i"] : [arg]));
  return ["-hide_banner", "-nostdin", "-y", ...guarded];
}

function checkResult(call: MediaToolCall, result: SandboxedResult): MediaToolResult {
  if (result.capped === "time") {
    throw new ClipscribeError("contract", `${call.tool} ran out of time`, {
      details: { timeout_s: call.timeoutMs / 1000 },
      hint: "raise the stage's `timeout:` if the file is long; a short file may be damaged",
    });
  }
  if (result.capped === "output") {
    throw new ClipscribeError("contract", `${call.tool} wrote too much`, {
      details: { limit_bytes: call.maxStdoutBytes },
      hint: "the file is not what it seems; convert it with a program you trust and try again",
    });
  }
  if (result.exitCode !== 0) throw describeFailure(call, result);
  return { stdout: result.stdout, stderr: result.stderr };
}

function describeFailure(call: MediaToolCall, result: SandboxedResult): ClipscribeError {
  const reason = lastWords(result.stderr, [...call.readable, call.writableDir]);
  const isFull = /No space left on device|Disk quota exceeded/.test(result.stderr);
  if (isFull) {
    return new ClipscribeError("transient", DISK_FULL, {
      details: { reason },
      hint: "free some space, then run again: nothing is lost",
    });
  }
  const ended = result.endedBy === null ? undefined : result.endedBy;
  return new ClipscribeError("contract", `${call.tool} can't read the file`, {
    details: { reason: reason === "" ? undefined : reason, signal: ended },
    hint: "play the file; if it is damaged or no audio or video, drop a good copy",
  });
}

/** The last line that says something, without paths of this machine. */
function lastWords(stderr: string, paths: readonly string[]): string {
  const lines = stderr.split(/[\r\n]+/).map((line) => line.trim());
  const telling = lines.findLast((line) => line !== "" && !/^(?:frame=|size=|\[q\])/.test(line));
  let text = telling ?? "";
  for (const path of paths) {
    text = text.replaceAll(path, basename(path)).replaceAll(`${dirname(path)}/`, "");
  }
  return safeLine(text, 200);
}

async function readVersions(
  sandbox: Sandbox,
  programOf: (tool: MediaToolName) => string | undefined,
): Promise<Record<string, string>> {
  const versions: Record<string, string> = {};
  const signal = AbortSignal.timeout(VERSION_TIMEOUT_MS);
  for (const tool of MEDIA_TOOLS) {
    const program = programOf(tool);
    if (program === undefined) continue;
    const { stdout } = await sandbox.run({
      program,
      args: ["-version"],
      readable: [],
      writableDir: "/tmp",
      network: "none",
      caps: { memoryBytes: MEMORY_BYTES, cpuSeconds: 10, fileBytes: 1024 },
      timeoutMs: VERSION_TIMEOUT_MS,
      maxStdoutBytes: 64 * 1024,
      signal,
    });
    versions[tool] = /version (\S+)/.exec(stdout)?.[1] ?? "unknown";
  }
  return versions;
}

function notInstalled(tool: string, platform: NodeJS.Platform): ClipscribeError {
  return new ClipscribeError("config", `${tool} is not installed`, {
    hint:
      platform === "darwin"
        ? "install it: brew install ffmpeg"
        : "install it: sudo apt-get install ffmpeg",
  });
}
