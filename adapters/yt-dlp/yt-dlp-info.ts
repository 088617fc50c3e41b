/** Reads what yt-dlp says of a medium: text of strangers, parsed, cut and made safe. */
import { z } from "zod";

import { ClipscribeError } from "../../core/errors.ts";
import type { ItemInfo } from "../../core/records.ts";
import { safeLine } from "../../core/safe-text.ts";
import { checkUrl, titleOfUrl } from "../../core/url.ts";
import type { Look } from "../../ports/downloader.ts";
import { MAX_PLAYLIST, STEM } from "./yt-dlp-arguments.ts";

/** Each is a request more, and a free transcript needs one. */
const MAX_CAPTIONS = 3;

const text = z.string().nullish().catch(null);
const number = z.number().nullish().catch(null);
const entry = z.looseObject({ url: text, webpage_url: text, title: text, duration: number });

/** Of an info.json, what is of use here; a field of another type is as good as none. */
export const SiteInfo = z.looseObject({
  _type: text,
  title: text,
  duration: number,
  is_live: z.boolean().nullish().catch(null),
  live_status: text,
  language: text,
  extractor_key: text,
  channel: text,
  uploader: text,
  upload_date: text,
  view_count: number,
  description: text,
  thumbnail: text,
  subtitles: z.record(z.string(), z.unknown()).nullish().catch(null),
  entries: z.array(entry.nullable().catch(null)).nullish().catch(null),
});
export type SiteInfo = z.infer<typeof SiteInfo>;

/** @throws `contract` for a live stream, and for what is no video. */
export function readLook(info: SiteInfo, url: URL): Look {
  if (isLive(info)) throw isLiveStream(url);
  const title = lineOf(info.title, 500);
  if (info.entries == null) {
    return { kind: "video", title, durationSeconds: secondsOf(info.duration) };
  }
  const videos = info.entries.flatMap((each) => {
    const address = each?.webpage_url ?? each?.url ?? "";
    try {
      const { href } = checkUrl(address);
      return [
        { url: href, title: lineOf(each?.title, 500), durationSeconds: secondsOf(each?.duration) },
      ];
    } catch {
      return [];
    }
  });
  if (videos.length === 0) {
    throw new ClipscribeError("contract", "the page holds no video, or an empty playlist", {
      details: { host: url.hostname },
      hint: "check the address in a browser",
    });
  }
  const isCut = info.entries.length > MAX_PLAYLIST;
  return { kind: "playlist", title, videos: videos.slice(0, MAX_PLAYLIST), isCut };
}

/**
 * Which captions to fetch: those in a preferred language, else in the one that is spoken, else the
 * first. What a machine has heard (automatic captions) is not listed among them.
 */
export function chooseCaptions(info: SiteInfo, preferred: readonly string[]): string[] {
  const there = Object.keys(info.subtitles ?? {}).filter((each) =>
    /^[A-Za-z]{2,3}(?:[-_][A-Za-z0-9_-]{1,20})?$/.test(each),
  );
  const inLanguage = (wanted: string): string[] => {
    const [base = ""] = wanted.toLowerCase().split("-");
    return there.filter((each) => each.toLowerCase().split(/[-_]/)[0] === base);
  };
  const liked = preferred.flatMap(inLanguage);
  const spoken = info.language == null ? [] : inLanguage(info.language);
  const chosen = [...new Set([...liked, ...spoken])];
  return (chosen.length > 0 ? chosen : there.slice(0, 1)).slice(0, MAX_CAPTIONS);
}

export function describeItem(info: SiteInfo, url: URL, fileName: string): ItemInfo {
  const day = /^(\d{4})(\d{2})(\d{2})$/.exec(info.upload_date ?? "");
  const title = lineOf(info.title, 500);
  return {
    title: title === null || title === STEM ? titleOfUrl(url) : title,
    url: url.href,
    file_name: fileName,
    platform: lineOf(info.extractor_key, 100)?.toLowerCase() ?? url.hostname,
    channel: lineOf(info.channel, 500) ?? lineOf(info.uploader, 500),
    published_at: day === null ? null : `${day[1]}-${day[2]}-${day[3]}`,
    view_count: info.view_count ?? null,
    description: lineOf(info.description, 5_000),
    thumbnail_url: lineOf(info.thumbnail, 2_000),
  };
}

export function isLiveStream(url: URL): ClipscribeError {
  return new ClipscribeError("contract", "a live stream has no end to wait for", {
    details: { host: url.hostname },
    hint: "give the address of its recording once it is over",
  });
}

function isLive({ is_live: live, live_status: status }: SiteInfo): boolean {
  return live === true || status === "is_live" || status === "is_upcoming";
}

function lineOf(value: string | null | undefined, max: number): string | null {
  return value == null || value === "" ? null : safeLine(value, max);
}

function secondsOf(value: number | null | undefined): number | null {
  return value == null || !(value > 0) ? null : value;
}
