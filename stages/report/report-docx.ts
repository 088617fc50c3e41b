/**
 * The report as a Word document with real headings, for people who mark things up. The same view
 * gives the same bytes: the archive is packed again without the time of day.
 */
import type * as DocxModule from "docx";
import { strFromU8, strToU8, unzipSync, zipSync } from "fflate";

import type { QuoteView, ReportView } from "./report-view.ts";

type Docx = typeof DocxModule;
type Paragraph = InstanceType<Docx["Paragraph"]>;
type Child = InstanceType<Docx["TextRun"]> | InstanceType<Docx["ExternalHyperlink"]>;

/** The oldest time that an archive can hold: 1980-01-01. */
const FIXED_TIME = new Date(1980, 0, 1, 12);
/** Word's own address of the field for a document's title has no time in it; these two do. */
const TIMES = /<dcterms:(created|modified)[^>]*>[^<]*<\/dcterms:\1>/g;

export async function toDocx(view: ReportView): Promise<Uint8Array> {
  // Loaded here: only this stage's run needs it, not everybody who reads its contract.
  const docx = await import("docx");
  const document = new docx.Document({
    title: view.title,
    creator: `ClipScribe ${view.method.version}`,
    description: view.file_name,
    styles: {
      default: { document: { run: { font: "Georgia", size: 22, language: { value: "en-US" } } } },
    },
    sections: [{ children: writeReport(view, docx) }],
  });
  return withoutTimes(new Uint8Array(await docx.Packer.toBuffer(document)));
}

function writeReport(view: ReportView, docx: Docx): Paragraph[] {
  const { HeadingLevel, Paragraph, TextRun } = docx;
  const title = (text: string): Paragraph => new Paragraph({ text, heading: HeadingLevel.TITLE });
  const heading = (text: string, level: "HEADING_1" | "HEADING_2" = "HEADING_1"): Paragraph =>
    new Paragraph({ text, heading: HeadingLevel[level], keepNext: true });
  const text = (words: string): Paragraph => new Paragraph({ text: words });
  const bullet = (children: readonly Child[]): Paragraph =>
    new Paragraph({ children, bullet: { level: 0 } });
  const quote = (quoted: QuoteView, after = ""): Paragraph =>
    bullet(writeQuote(quoted, after, docx));
  const none = (words: string): Paragraph =>
    new Paragraph({ children: [new TextRun({ text: words, italics: true })] });

  const source = [view.file_name, view.duration, view.channel, view.published_at, view.url];
  const { method } = view;
  return [
    title(view.title),
    text(source.filter((part) => part !== null && part !== "").join(" · ")),
    ...view.lacks.map(
      ({ stage, why }) =>
        new Paragraph({
          children: [new TextRun({ text: `Missing (${stage}): ${why}`, bold: true })],
        }),
    ),
    heading("Summary"),
    view.summary === null ? none("No summary was written.") : text(view.summary),
    ...view.key_points.map((point) => bullet([new TextRun(`“${point}”`)])),
    ...(view.sentiment === null
      ? []
      : [
          heading("Tone", "HEADING_2"),
          text(view.sentiment.overall),
          ...view.sentiment.quotes.map((each) => quote(each)),
        ]),
    ...(view.topics.length === 0
      ? []
      : [heading("Topics"), ...view.topics.map(({ name }) => bullet([new TextRun(name)]))]),
    heading("Key moments"),
    ...(view.moments.length === 0 ? [none("None was found.")] : []),
    ...view.moments.map((moment) =>
      quote(moment, moment.description === "" ? "" : ` — ${moment.description}`),
    ),
    heading("People, places and things"),
    ...(view.entity_count === 0 ? [none("None was found.")] : []),
    ...view.entity_groups.flatMap((group) => [
      heading(group.name, "HEADING_2"),
      ...group.entities.flatMap((entity) => [
        new Paragraph({
          keepNext: true,
          children: [
            new TextRun({ text: entity.name, bold: true }),
            new TextRun(` · mentioned ${entity.mentions}×`),
            new TextRun(entity.aliases === "" ? "" : ` · also: ${entity.aliases}`),
          ],
        }),
        ...entity.quotes.map((each) => quote(each)),
      ]),
    ]),
    heading("Relationships"),
    ...(view.relationships.length === 0 ? [none("None was found.")] : []),
    ...view.relationships.flatMap((relationship) => [
      new Paragraph({
        keepNext: true,
        children: [
          new TextRun({ text: relationship.subject, bold: true }),
          new TextRun(` — ${relationship.predicate} → `),
          new TextRun({ text: relationship.object, bold: true }),
          new TextRun(
            relationship.contradictions === ""
              ? ""
              : ` · contradicts ${relationship.contradictions}`,
          ),
        ],
      }),
      ...relationship.quotes.map((each) => quote(each)),
    ]),
    heading("How this was made"),
    text(`Words: ${method.transcript}`),
    text(`Findings: ${method.findings}`),
    text(
      `Quotes: ${method.quotes}, of these ${method.verified} verified word for word, ${method.repaired} repaired, ${method.unverified} unverified`,
    ),
    text(`Made by ClipScribe ${method.version}, pipeline ${method.pipeline}; cost ${method.cost}`),
    text(`Source SHA-256: ${method.source_sha256}`),
  ];
}

/** `[00:12:31–00:12:44] Name: “…”`, linked where the source is on the web. */
function writeQuote(
  { span, link, speaker, text, verification }: QuoteView,
  after: string,
  { ExternalHyperlink, TextRun }: Docx,
): Child[] {
  const times = `[${span}]`;
  // A relative link would mean a folder that the document is no longer in.
  const isWeb = link !== null && /^https?:/.test(link);
  const label = verification === "verified" ? "" : ` (${verification})`;
  return [
    isWeb
      ? new ExternalHyperlink({
          link,
          children: [new TextRun({ text: times, style: "Hyperlink" })],
        })
      : new TextRun(times),
    new TextRun(speaker === null ? " " : ` ${speaker}: `),
    new TextRun(`“${text}”`),
    new TextRun({ text: label, bold: true }),
    new TextRun(after),
  ];
}

function withoutTimes(archive: Uint8Array): Uint8Array {
  const files = unzipSync(archive);
  const core = files["docProps/core.xml"];
  if (core !== undefined) {
    files["docProps/core.xml"] = strToU8(strFromU8(core).replaceAll(TIMES, ""));
  }
  return zipSync(files, { mtime: FIXED_TIME });
}
