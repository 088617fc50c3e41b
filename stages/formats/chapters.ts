/** Chapters as WebVTT: one a topic, from where it is first quoted to where the next one begins. */
import type { Intelligence } from "../../core/intelligence.ts";
import type { MediaInfo } from "../../core/media-info.ts";
import { escapeVtt } from "./subtitles.ts";
import { formatTimecode } from "./timecode.ts";

/** Shorter chapters are a flicker in a player's menu. */
const MIN_CHAPTER_S = 5;

interface Chapter {
  start: number;
  title: string;
}

/** Topics that a quote supports; without any, the chapters that the file came with; else none. */
export function toChaptersVtt(intelligence: Intelligence, media: MediaInfo): string | undefined {
  const topics = (intelligence.topic_evidence ?? []).flatMap(({ name, evidence }): Chapter[] => {
    const said = evidence.filter(({ verification }) => verification !== "unverified");
    return said.length === 0
      ? []
      : [{ title: name, start: Math.min(...said.map(({ start }) => start)) }];
  });
  const own = media.chapters.map(({ start, title }) => ({ start, title }));
  const chosen = (topics.length > 0 ? topics : own).toSorted((a, b) => a.start - b.start);
  const chapters: Chapter[] = [];
  for (const chapter of chosen) {
    const last = chapters.at(-1);
    if (last !== undefined && chapter.start - last.start < MIN_CHAPTER_S) {
      last.title += ` · ${chapter.title}`;
    } else chapters.push({ ...chapter });
  }
  if (chapters.length === 0) return undefined;
  const cues = chapters.map(({ start, title }, at) => {
    const end = chapters[at + 1]?.start ?? Math.max(media.duration, start + MIN_CHAPTER_S);
    const times = `${formatTimecode(start, ".")} --> ${formatTimecode(end, ".")}`;
    return `${at + 1}\n${times}\n${escapeVtt(title.replaceAll(/\s+/g, " ").trim())}\n`;
  });
  return `WEBVTT\n\n${cues.join("\n")}`;
}
