/** Where a quote's second can be seen or heard. */
import { formatClock } from "../formats/timecode.ts";

const YOUTUBE = /^(?:www\.|m\.)?youtube\.com$/;

/**
 * `&t=751s` on YouTube, `#t=751,764` (W3C Media Fragments) on any other URL or on the player's
 * file; null where there is nothing to link to.
 */
export function linkTo(
  url: string | null,
  player: string | null,
  start: number,
  end: number,
): string | null {
  const seconds = Math.floor(start);
  const fragment = `#t=${seconds},${Math.max(seconds + 1, Math.ceil(end))}`;
  const address = url === null ? undefined : parseWebAddress(url);
  if (address === undefined) return player === null ? null : `${player}${fragment}`;
  const isWatchPage = YOUTUBE.test(address.hostname) && address.searchParams.has("v");
  if (isWatchPage || address.hostname === "youtu.be") {
    address.searchParams.set("t", `${seconds}s`);
    return address.href;
  }
  address.hash = fragment;
  return address.href;
}

/** `00:12:31–00:12:44` */
export function formatSpan(start: number, end: number): string {
  return `${formatClock(start)}–${formatClock(end)}`;
}

/** Only http and https become links: a title page's URL is text from outside. */
export function parseWebAddress(text: string): URL | undefined {
  try {
    const url = new URL(text);
    return url.protocol === "https:" || url.protocol === "http:" ? url : undefined;
  } catch {
    return undefined;
  }
}
