/**
 * yt-dlp as a sandboxed child, one a video: no configuration, no cookies, no home folder, fixed output
 * names. Private addresses are refused before it starts, and by the proxy through which it goes out;
 * docs/decisions/2026-11-24-downloads.md says what that covers.
 */
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";

import { sha256Of } from "../../core/digest.ts";
import { ClipscribeError } from "../../core/errors.ts";
import { extensionOf } from "../../core/media-types.ts";
import { checkUrl } from "../../core/url.ts";
import type { Download, Downloader, FetchOptions } from "../../ports/downloader.ts";
import type { EgressOptions } from "../egress/egress-proxy.ts";
import { isPrivateAddress, resolveHost } from "../egress/private-address.ts";
import { findProgram } from "../ffmpeg/media-tools.ts";
import type { SandboxedResult } from "../sandbox/sandboxed.ts";
import { openYtDlp } from "./run-yt-dlp.ts";
import type { YtDlpCall, YtDlpResult } from "./run-yt-dlp.ts";
import {
  MAX_DOWNLOAD_BYTES,
  STEM,
  fetchArguments,
  lookArguments,
  parseProgress,
} from "./yt-dlp-arguments.ts";
import { describeFailure } from "./yt-dlp-failure.ts";
import { SiteInfo, chooseCaptions, describeItem, isLiveStream, readLook } from "./yt-dlp-info.ts";
import { ageOfVersion, updateHint } from "./yt-dlp-version.ts";

const FETCH_TIMEOUT_MS = 4 * 60 * 60 * 1000;
/** A page, and what it loads to say what is in it. */
const LOOK_TIMEOUT_MS = 3 * 60 * 1000;
/** The addresses of media in it are valid for some hours. */
const LOOK_FRESH_MS = 60 * 60 * 1000;
const CAPTIONS = ["vtt", "srt"];
const MEBIBYTE = 1024 * 1024;

export interface DownloaderOptions {
  io: { env: Readonly<Record<string, string | undefined>>; platform: NodeJS.Platform };
  settings: { allowPrivateUrls: boolean; allowOldYtDlp?: boolean };
  egress?: EgressOptions;
  now?: () => Date;
}

export function openDownloader(options: DownloaderOptions): Downloader {
  const { io, settings, now = () => new Date() } = options;
  const egress = {
    resolve: resolveHost,
    isAllowed: (address: string) => settings.allowPrivateUrls || !isPrivateAddress(address),
    ...options.egress,
  };
  const ytDlp = openYtDlp(io.platform, egress);

  /** @throws `contract`, `denied`, `config`: nothing is asked of an address that may not be. */
  async function admit(
    text: string,
    dir: string,
    signal: AbortSignal,
  ): Promise<{ url: URL; program: string }> {
    const url = checkUrl(text);
    const addresses = await resolveUrl(url, egress.resolve);
    if (!addresses.every(egress.isAllowed)) throw isPrivate(url.hostname);
    const program = findProgram("yt-dlp", pathWithHome(io.env));
    if (program === undefined) throw notInstalled(io.platform);
    mkdirSync(dir, { recursive: true });
    // One's own servers may be old friends; what lies on the web is a stranger's.
    const isWeb = !addresses.some(isPrivateAddress);
    if (isWeb && settings.allowOldYtDlp !== true) await refuseOld({ program, dir, signal });
    return { url, program };
  }

  async function refuseOld(at: Pick<YtDlpCall, "program" | "dir" | "signal">): Promise<void> {
    const version = await ytDlp.version(at);
    if (ageOfVersion(version, now())?.hasKnownHoles !== true) return;
    throw new ClipscribeError("config", `yt-dlp ${version} has known holes and is not let out`, {
      hint: `${updateHint(io.platform)}; or set CLIPSCRIBE_ALLOW_OLD_YT_DLP=yes`,
    });
  }

  async function fail(
    result: YtDlpResult,
    url: URL,
    at: Pick<YtDlpCall, "program" | "dir" | "signal">,
  ): Promise<ClipscribeError> {
    const [led] = result.refusedHosts;
    if (led !== undefined) return isPrivate(led, url);
    const age = ageOfVersion(await ytDlp.version(at), now());
    const sentence = `yt-dlp is ${age?.days} days old: ${updateHint(io.platform)}`;
    return describeFailure(result, url, age?.isOld === true ? sentence : null);
  }

  async function ask(
    url: URL,
    at: { program: string; dir: string; signal: AbortSignal },
  ): Promise<SiteInfo> {
    const args = (proxy: string): string[] => lookArguments(url.href, proxy);
    const result = await ytDlp.run({ ...at, args, timeoutMs: LOOK_TIMEOUT_MS });
    if (result.exitCode !== 0) throw await fail(result, url, at);
    const info = parseInfo(result.stdout, url);
    writeFileSync(lookFileOf(at.dir, url), result.stdout);
    return info;
  }

  return {
    async look(text, dir, { signal }) {
      const { url, program } = await admit(text, dir, signal);
      const known = readFresh(lookFileOf(dir, url));
      const at = { program, dir, signal };
      return readLook(known === undefined ? await ask(url, at) : parseInfo(known, url), url);
    },
    async fetch(text, dir, wanted) {
      const { signal } = wanted;
      const { url, program } = await admit(text, dir, signal);
      const at = { program, dir, signal };
      const lookFile = lookFileOf(dir, url);
      const known = readFresh(lookFile);
      const info = known === undefined ? await ask(url, at) : parseInfo(known, url);
      if (readLook(info, url).kind === "playlist") throw isPlaylist(url);
      const args = (file: string | null) => (proxy: string) =>
        fetchArguments({
          url: url.href,
          soundOnly: wanted.soundOnly ?? false,
          captions: chooseCaptions(info, wanted.languages ?? []),
          lookFile: file,
          proxy,
        });
      const onLine = showProgress(wanted, url);
      const call = { ...at, timeoutMs: FETCH_TIMEOUT_MS };
      let result = await ytDlp.run({ ...call, args: args(lookFile) }, onLine);
      // What the site said a while ago may have lost its validity.
      if (result.exitCode !== 0 && known !== undefined) {
        result = await ytDlp.run({ ...call, args: args(null) }, onLine);
      }
      rmSync(lookFile, { force: true });
      if (result.exitCode !== 0) throw await fail(result, url, at);
      return readDownload(dir, url, result);
    },
  };
}

function showProgress({ onProgress }: FetchOptions, url: URL): (line: string) => void {
  let shown = 0;
  return (line) => {
    const progress = parseProgress(line);
    if (progress === undefined) return;
    // Picture and sound come one after the other, each from 0 to 100 %.
    shown = Math.max(shown, progress.fraction);
    const { bytes, bytesPerSecond: speed } = progress;
    const size = bytes === null ? "" : ` ${(bytes / MEBIBYTE).toFixed(0)} MiB`;
    const pace = speed === null ? "" : ` at ${(speed / MEBIBYTE).toFixed(1)} MiB/s`;
    onProgress?.(shown, `${url.hostname}${size}${pace}`);
  };
}

/** What a look has found stays for the fetch: under the address's own name, whoever shares the folder. */
function lookFileOf(dir: string, url: URL): string {
  return join(dir, `look-${sha256Of(url.href).slice(0, 16)}.json`);
}

function readFresh(file: string): string | undefined {
  const info = statSync(file, { throwIfNoEntry: false });
  if (info === undefined || Date.now() - info.mtimeMs > LOOK_FRESH_MS) return undefined;
  return readFileSync(file, "utf8");
}

function parseInfo(text: string, url: URL): SiteInfo {
  try {
    return SiteInfo.parse(JSON.parse(text));
  } catch (cause) {
    throw new ClipscribeError("contract", "there is no video to download", {
      details: { host: url.hostname },
      hint: "check the address in a browser",
      cause,
    });
  }
}

function readDownload(dir: string, url: URL, result: SandboxedResult): Download {
  const names = readdirSync(dir).filter((name) => name.startsWith(`${STEM}.`));
  const media = names.find(
    (name) =>
      /^media\.[a-z0-9]{1,5}$/i.test(name) &&
      !["json", "part", "ytdl", ...CAPTIONS].includes(extensionOf(name)),
  );
  if (media === undefined) {
    const isTooLarge = /larger than max-filesize/.test(result.stdout);
    const message = isTooLarge
      ? "the video is too large to download"
      : "there was nothing to download";
    throw new ClipscribeError("contract", message, {
      details: { host: url.hostname, limit_gib: MAX_DOWNLOAD_BYTES / 1024 ** 3 },
      hint: isTooLarge
        ? "download it in your browser in a smaller size, then drop the file"
        : "open the address in a browser",
    });
  }
  if (/Live HLS streams are not supported/.test(result.stderr)) {
    // An older yt-dlp takes what the stream shows just now for all of it.
    rmSync(join(dir, media), { force: true });
    throw isLiveStream(url);
  }
  const infoFile = join(dir, `${STEM}.info.json`);
  const info = existsSync(infoFile) ? parseInfo(readFileSync(infoFile, "utf8"), url) : {};
  const sidecars = names.filter((name) => CAPTIONS.includes(extensionOf(name)));
  return {
    path: join(dir, media),
    info: describeItem(SiteInfo.parse(info), url, media),
    sidecars: sidecars.toSorted().map((name) => join(dir, name)),
  };
}

function isPlaylist(url: URL): ClipscribeError {
  return new ClipscribeError("contract", "the address is a playlist, not a video", {
    details: { host: url.hostname },
    hint: "list its videos one a line, or submit it with `clipscribe batch submit`",
  });
}

async function resolveUrl(
  url: URL,
  resolve: (hostname: string) => Promise<string[]>,
): Promise<string[]> {
  try {
    return await resolve(url.hostname);
  } catch (cause) {
    throw new ClipscribeError("transient", "the site's name can't be resolved", {
      details: { host: url.hostname },
      hint: "check your connection and the address, then run again",
      cause,
    });
  }
}

/** `page`: what led there, where the address itself did not. */
function isPrivate(host: string, page?: URL): ClipscribeError {
  const message =
    page === undefined
      ? "the address lies in a private network"
      : "the page leads into a private network, where nothing is fetched";
  return new ClipscribeError("denied", message, {
    details: { host, ...(page !== undefined && { page: page.hostname }) },
    hint: "set CLIPSCRIBE_ALLOW_PRIVATE=url if you mean it",
  });
}

/** pipx puts programs where not every shell looks. */
function pathWithHome({ PATH = "", HOME }: DownloaderOptions["io"]["env"]): string {
  return HOME === undefined ? PATH : `${PATH}:${join(HOME, ".local", "bin")}`;
}

function notInstalled(platform: NodeJS.Platform): ClipscribeError {
  return new ClipscribeError("config", "yt-dlp is not installed", {
    hint:
      platform === "darwin"
        ? "install it: brew install yt-dlp"
        : "install it: pipx install yt-dlp, or sudo apt-get install yt-dlp",
  });
}
