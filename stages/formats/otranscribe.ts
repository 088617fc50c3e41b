/**
 * The transcript for oTranscribe (https://otranscribe.com), where a person corrects it by ear:
 * JSON `{text, media, "media-time"}`, the text as HTML with time stamps that its player follows.
 */
import type { Transcript } from "../../core/transcript.ts";
import { escapeXml } from "../../core/escape-text.ts";
import { formatClock } from "./timecode.ts";
import { speakerTurns } from "./turns.ts";

export function toOtr(transcript: Transcript, media: string): string {
  const paragraphs = speakerTurns(transcript.segments).map(({ speaker, segments }) => {
    const stamped = segments.map(
      ({ start, text }) =>
        `<span class="timestamp" contenteditable="false" data-timestamp="${start}">${shortClock(start)}</span> ${escapeXml(text)}`,
    );
    const name = speaker === null ? "" : `<b>${escapeXml(speaker)}:</b> `;
    return `<p>${name}${stamped.join(" ")}</p>`;
  });
  return `${JSON.stringify({ text: paragraphs.join(""), media, "media-time": 0 }, null, 2)}\n`;
}

/** `12:31`; with hours only where there are some. */
function shortClock(seconds: number): string {
  return formatClock(seconds).replace(/^00:/, "");
}
