/**
 * The findings for machines of others: a schema.org VideoObject whose parts are the key moments, and a
 * W3C Web Annotation for each quote, by its time and by its words. What nobody said is left out.
 */
import type { Evidence, Intelligence } from "../../core/intelligence.ts";
import type { MediaInfo } from "../../core/media-info.ts";
import type { Annotation, ClipsJsonLd } from "../../core/published.ts";
import type { ItemInfo } from "../../core/records.ts";
import type { Segment, Transcript } from "../../core/transcript.ts";
import { linkTo, parseWebAddress } from "../report/links.ts";

/** What stands before and after a quote, so that it is found even where it was said twice. */
const CONTEXT_CHARS = 32;

export interface ClipsInput {
  item: ItemInfo;
  media: MediaInfo;
  transcript: Transcript;
  intelligence: Intelligence;
  provenance: { source_sha256: string };
}

type Quoted = Pick<Evidence, "quote" | "start" | "end" | "segment_ids" | "verification">;

export function toClips({
  item,
  media,
  transcript,
  intelligence,
  provenance,
}: ClipsInput): ClipsJsonLd {
  const address = item.url === null ? undefined : parseWebAddress(item.url)?.href;
  const source = address ?? encodeURIComponent(item.file_name.toWellFormed());
  const segments = new Map(transcript.segments.map((segment) => [segment.id, segment]));
  const moments = intelligence.key_moments.filter(isSaid);
  const annotations: Annotation[] = [];
  const annotate = (
    quoted: Quoted,
    motivation: Annotation["motivation"],
    purpose: string,
    value: string,
  ): void => {
    if (!isSaid(quoted)) return;
    annotations.push({
      "@context": "http://www.w3.org/ns/anno.jsonld",
      id: `#quote-${annotations.length + 1}`,
      type: "Annotation",
      motivation,
      body: { type: "TextualBody", value, purpose },
      target: {
        source,
        selector: [
          {
            type: "FragmentSelector",
            conformsTo: "http://www.w3.org/TR/media-frags/",
            value: `t=${quoted.start},${quoted.end}`,
          },
          {
            type: "TextQuoteSelector",
            exact: quoted.quote,
            ...surroundings(quoted, segments),
          },
        ],
      },
    });
  };
  for (const { name, evidence } of intelligence.entities) {
    for (const quoted of evidence) annotate(quoted, "tagging", "tagging", name);
  }
  for (const { subject, predicate, object, evidence } of intelligence.relationships) {
    for (const quoted of evidence) {
      annotate(quoted, "describing", "describing", `${subject} ${predicate} ${object}`);
    }
  }
  for (const moment of moments) {
    annotate(moment, "highlighting", "describing", moment.description);
  }
  return {
    "@context": "https://schema.org",
    "@type": media.has_video ? "VideoObject" : "AudioObject",
    name: item.title ?? media.title ?? item.file_name,
    ...(item.description !== null && { description: item.description }),
    ...(address !== undefined && { url: address }),
    contentUrl: source,
    ...(item.thumbnail_url !== null && { thumbnailUrl: item.thumbnail_url }),
    ...(item.published_at !== null && { uploadDate: item.published_at }),
    ...(transcript.language !== null && { inLanguage: transcript.language }),
    duration: `PT${media.duration}S`,
    sha256: provenance.source_sha256,
    hasPart: moments.map((moment, at) => ({
      "@type": "Clip",
      "@id": `#clip-${at + 1}`,
      name: moment.description === "" ? moment.quote : moment.description,
      description: moment.quote,
      startOffset: moment.start,
      endOffset: moment.end,
      url: linkTo(item.url, source, moment.start, moment.end) ?? source,
    })),
    "@included": annotations,
  };
}

function isSaid({ verification }: { verification: Evidence["verification"] }): boolean {
  return verification !== "unverified";
}

/** Empty where the quote's spelling differs from the segments': its time still finds it. */
function surroundings(
  { quote, segment_ids: ids }: Quoted,
  segments: ReadonlyMap<string, Segment>,
): { prefix: string; suffix: string } {
  const text = ids.map((id) => segments.get(id)?.text ?? "").join(" ");
  const at = text.indexOf(quote);
  if (at === -1) return { prefix: "", suffix: "" };
  const after = at + quote.length;
  return {
    prefix: text.slice(Math.max(0, at - CONTEXT_CHARS), at).toWellFormed(),
    suffix: text.slice(after, after + CONTEXT_CHARS).toWellFormed(),
  };
}
