/**
 * yt-dlp as a sandboxed child with a network: an argument list and never a shell, no configuration,
 * no cookies, no home folder, fixed output names, `--` before the URL. Private addresses are refused
 * before it starts; docs/decisions/2026-11-24-downloads.md says what that does not cover.
 */
import { existsSync, mkdirSync, readFileSync, readdirSync } from "node:fs";
import { basename, join } from "node:path";

import { ClipscribeError } from "../../core/errors.ts";
import { extensionOf } from "../../core/media-types.ts";
import type { ItemInfo } from "../../core/records.ts";
import { safeLine } from "../../core/safe-text.ts";
import { checkUrl } from "../../core/url.ts";
import type { Download, Downloader } from "../../ports/downloader.ts";
import { isPrivateAddress, resolveHost } from "../egress/private-address.ts";
import { findProgram } from "../ffmpeg/media-tools.ts";
import { detectSandbox } from "../sandbox/detect-sandbox.ts";
import { openSandbox } from "../sandbox/sandboxed.ts";
import type { SandboxedResult } from "../sandbox/sandboxed.ts";

/** The longest talk in good quality; larger files are dropped as files. */
const MAX_DOWNLOAD_BYTES = 8 * 1024 ** 3;
const TIMEOUT_MS = 4 * 60 * 60 * 1000;
const CAPTIONS = ["vtt", "srt"];

export interface DownloaderOptions {
  io: { env: Readonly<Record<string, string | undefined>>; platform: NodeJS.Platform };
  settings: { allowPrivateUrls: boolean };
}

export function openDownloader({ io, settings }: DownloaderOptions): Downloader {
  return {
    async fetch(text, dir, { signal, onProgress }) {
      const url = checkUrl(text);
      if (!settings.allowPrivateUrls) await refusePrivate(url);
      const program = findProgram("yt-dlp", io.env["PATH"] ?? "");
      if (program === undefined) throw notInstalled(io.platform);
      mkdirSync(dir, { recursive: true });
      const sandbox = openSandbox(detectSandbox({ platform: io.platform }));
      const result = await sandbox.run({
        program,
        args: downloadArguments(url.href),
        readable: [],
        writableDir: dir,
        network: true,
        caps: {
          memoryBytes: 4 * 1024 ** 3,
          cpuSeconds: 4 * 60 * 60,
          fileBytes: MAX_DOWNLOAD_BYTES,
        },
        timeoutMs: TIMEOUT_MS,
        maxStdoutBytes: 64 * 1024 * 1024,
        onStdoutLine: (line) => {
          const percent = /^clipscribe (\d+(?:\.\d+)?)%/.exec(line.trim())?.[1];
          if (percent !== undefined) onProgress?.(Number(percent) / 100, url.hostname);
        },
        signal,
      });
      if (result.exitCode !== 0) throw describeFailure(result, url);
      return readDownload(dir, url);
    },
  };
}

/** Exported for its test. Options that read or run anything of the machine are never among them. */
export function downloadArguments(url: string): string[] {
  return [
    "--ignore-config",
    "--no-exec",
    "--no-playlist",
    "--no-cache-dir",
    "--no-continue",
    "--restrict-filenames",
    "--no-mtime",
    "--no-colors",
    "--hls-prefer-native",
    ...["--max-filesize", `${MAX_DOWNLOAD_BYTES}`],
    ...["--match-filter", "!is_live"],
    ...["--socket-timeout", "30", "--retries", "5", "--fragment-retries", "5"],
    ...[
      "--write-info-json",
      "--write-subs",
      "--sub-langs",
      "all,-live_chat",
      "--sub-format",
      "vtt/srt/best",
    ],
    ...[
      "--newline",
      "--progress",
      "--progress-template",
      "download:clipscribe %(progress._percent_str)s",
    ],
    ...["--output", "media.%(ext)s"],
    "--",
    url,
  ];
}

function readDownload(dir: string, url: URL): Download {
  const names = readdirSync(dir);
  const ends = (name: string): string => extensionOf(name);
  const media = names.find(
    (name) =>
      /^media\.[a-z0-9]{1,5}$/i.test(name) && !["json", "part", ...CAPTIONS].includes(ends(name)),
  );
  if (media === undefined) {
    throw new ClipscribeError("contract", "there was nothing to download", {
      details: { host: url.hostname },
      hint: "open the address: a live stream, or a file that is too large, is not fetched",
    });
  }
  const sidecars = names.filter(
    (name) => name.startsWith("media.") && CAPTIONS.includes(ends(name)),
  );
  return {
    path: join(dir, media),
    info: readInfo(join(dir, "media.info.json"), url, media),
    sidecars: sidecars.toSorted().map((name) => join(dir, name)),
  };
}

function readInfo(file: string, url: URL, media: string): ItemInfo {
  const raw = existsSync(file)
    ? (JSON.parse(readFileSync(file, "utf8")) as Record<string, unknown>)
    : {};
  const text = (key: string, max = 500): string | null => {
    const value = raw[key];
    return typeof value === "string" && value !== "" ? safeLine(value, max) : null;
  };
  const day = /^(\d{4})(\d{2})(\d{2})$/.exec(text("upload_date") ?? "");
  const views = raw["view_count"];
  const title = text("title");
  return {
    title: title === null || title === "media" ? decodeTitle(url) : title,
    url: url.href,
    file_name: media,
    platform: text("extractor_key")?.toLowerCase() ?? url.hostname,
    channel: text("channel") ?? text("uploader"),
    published_at: day === null ? null : `${day[1]}-${day[2]}-${day[3]}`,
    view_count: typeof views === "number" ? views : null,
    description: text("description", 5_000),
    thumbnail_url: text("thumbnail", 2_000),
  };
}

function decodeTitle(url: URL): string {
  const last = basename(url.pathname);
  let name = last;
  try {
    name = decodeURIComponent(last);
  } catch {
    // Not percent-encoded text; shown as it is.
  }
  return safeLine(name === "" ? url.hostname : name, 200);
}

function describeFailure(result: SandboxedResult, url: URL): ClipscribeError {
  const lines = result.stderr.split("\n").filter((line) => line.startsWith("ERROR:"));
  const reason = safeLine(
    lines.at(-1)?.slice("ERROR:".length) ?? result.stderr.split("\n").at(-2) ?? "",
    300,
  );
  const details = { host: url.hostname, reason };
  if (result.capped !== null) {
    return new ClipscribeError("transient", "the download took too long", { details });
  }
  if (/Private video|Sign in|login|members-only|HTTP Error 40[13]/i.test(reason)) {
    return new ClipscribeError("denied", "the site does not give this video out", {
      details,
      hint: "download it in your browser, then drop the file",
    });
  }
  if (/Unsupported URL|HTTP Error 404|unavailable|no video|removed/i.test(reason)) {
    return new ClipscribeError("contract", "there is no video to download", {
      details,
      hint: "check the address in a browser",
    });
  }
  return new ClipscribeError("transient", "the download failed", {
    details,
    hint: "run again; if it stays so, update yt-dlp: sites change every few weeks",
  });
}

async function refusePrivate(url: URL): Promise<void> {
  const host = url.hostname;
  let addresses: string[];
  try {
    addresses = await resolveHost(host);
  } catch (cause) {
    throw new ClipscribeError("transient", "the site's name can't be resolved", {
      details: { host },
      hint: "check your connection and the address, then run again",
      cause,
    });
  }
  if (!addresses.some(isPrivateAddress)) return;
  throw new ClipscribeError("denied", "the address lies in a private network", {
    details: { host },
    hint: "set CLIPSCRIBE_ALLOW_PRIVATE=url if you mean it",
  });
}

function notInstalled(platform: NodeJS.Platform): ClipscribeError {
  return new ClipscribeError("config", "yt-dlp is not installed", {
    hint:
      platform === "darwin"
        ? "install it: brew install yt-dlp"
        : "install it: pipx install yt-dlp, or sudo apt-get install yt-dlp",
  });
}
