/**
 * What yt-dlp is told: an argument list and never a shell. Nothing of the machine is configured in, and
 * options that read or run anything of it are never among them.
 */

/** The longest talk in good quality; larger files are dropped as files. */
export const MAX_DOWNLOAD_BYTES = 8 * 1024 ** 3;
/** Of a playlist so many are listed: one more than are taken, which tells that there are more. */
export const MAX_PLAYLIST = 50;
/** Every line of progress begins so. */
export const PROGRESS_MARK = "clipscribe";
/** Part of every file name in the folder. */
export const STEM = "media";

/** Newer ones heed it; older ones find plugins in places that the sandbox does not show. */
export const ENVIRONMENT = { YTDLP_NO_PLUGINS: "1" };

const SHARED = [
  "--ignore-config",
  "--no-exec",
  "--no-cache-dir",
  "--no-colors",
  "--no-playlist",
  ...["--socket-timeout", "30", "--retries", "5", "--fragment-retries", "5"],
];

/** `proxy`: of an egress filter on loopback, where there is one. */
export function lookArguments(url: string, proxy: string | null = null): string[] {
  return [
    ...SHARED,
    ...proxyArguments(proxy),
    "--skip-download",
    "--flat-playlist",
    ...["--playlist-end", `${MAX_PLAYLIST + 1}`],
    "--dump-single-json",
    "--",
    url,
  ];
}

export interface FetchArguments {
  url: string;
  soundOnly: boolean;
  /** Languages of captions as the site names them; empty: none. */
  captions: readonly string[];
  /** Absolute path of what a look has found; null: the site is asked. */
  lookFile: string | null;
  proxy: string | null;
}

export function fetchArguments(wanted: FetchArguments): string[] {
  const { url, soundOnly, captions, lookFile, proxy } = wanted;
  return [
    ...SHARED,
    ...proxyArguments(proxy),
    "--restrict-filenames",
    "--no-mtime",
    "--hls-prefer-native",
    ...["--max-filesize", `${MAX_DOWNLOAD_BYTES}`],
    ...["--match-filter", "!is_live"],
    // Where sound and picture come as one, a small picture: sound that is good enough to be read.
    ...(soundOnly ? ["--format", "ba/b", "--format-sort", "res:360,abr~128"] : []),
    "--write-info-json",
    ...(captions.length > 0
      ? ["--write-subs", "--sub-langs", captions.join(","), "--sub-format", "vtt/srt/best"]
      : []),
    ...["--newline", "--progress", "--progress-template"],
    `download:${PROGRESS_MARK} %(progress._percent_str)s %(progress.downloaded_bytes)s %(progress.speed)s`,
    ...["--output", `${STEM}.%(ext)s`],
    ...(lookFile === null ? [] : ["--load-info-json", lookFile]),
    ...(lookFile === null ? ["--", url] : []),
  ];
}

export interface Progress {
  /** 0–1. */
  fraction: number;
  bytes: number | null;
  bytesPerSecond: number | null;
}

/** Undefined for lines that are no progress. */
export function parseProgress(line: string): Progress | undefined {
  const match = /^clipscribe\s+(\d+(?:\.\d+)?)%\s+(\S+)\s+(\S+)/.exec(line.trim());
  if (match === null) return undefined;
  const number = (text: string | undefined): number | null => {
    const value = Number(text);
    return Number.isFinite(value) ? value : null;
  };
  const fraction = Math.min(1, Number(match[1]) / 100);
  return { fraction, bytes: number(match[2]), bytesPerSecond: number(match[3]) };
}

function proxyArguments(proxy: string | null): string[] {
  return proxy === null ? [] : ["--proxy", proxy];
}
