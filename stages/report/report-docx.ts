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

const HEADING_COLOR = "7A3410";
/** Whether a line begins at its right: its first letter says so, as in HTML's `dir=auto`. */
const fromTheRight =
  /^[^\p{L}]*[\p{Script=Arabic}\p{Script=Hebrew}\p{Script=Syriac}\p{Script=Thaana}\p{Script=Nko}]/u;
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
      default: {
        document: {
          run: { font: "Georgia", size: 22, language: { value: "en-US" } },
          paragraph: { spacing: { after: 80, line: 276 } },
        },
        title: { run: { size: 40, bold: true }, paragraph: { spacing: { after: 120 } } },
        heading1: {
          run: { size: 28, bold: true, color: HEADING_COLOR },
          paragraph: { spacing: { before: 360, after: 120 } },
        },
        heading2: {
          run: { size: 24, bold: true, color: HEADING_COLOR },
          paragraph: { spacing: { before: 240, after: 80 } },
        },
      },
    },
    sections: [{ children: writeReport(view, docx) }],
  });
  return withoutTimes(new Uint8Array(await docx.Packer.toBuffer(document)));
}

/** Paragraphs of the few kinds that the report has. */
function paragraphsOf(docx: Docx) {
  const { HeadingLevel, Paragraph, TextRun } = docx;
  const bidi = (text: string): { bidirectional?: true } =>
    fromTheRight.test(text) ? { bidirectional: true } : {};
  const run = (text: string, bold = false): InstanceType<Docx["TextRun"]> =>
    new TextRun({ text, bold, ...rightToLeft(text) });
  const bullet = (children: readonly Child[], text: string): Paragraph =>
    new Paragraph({ children, bullet: { level: 0 }, ...bidi(text) });
  return {
    title: (text: string) =>
      new Paragraph({ children: [run(text)], heading: HeadingLevel.TITLE, ...bidi(text) }),
    heading: (text: string, level: "HEADING_1" | "HEADING_2" = "HEADING_1") =>
      new Paragraph({ text, heading: HeadingLevel[level], keepNext: true }),
    text: (words: string) => new Paragraph({ children: [run(words)], ...bidi(words) }),
    bold: (words: string) => new Paragraph({ children: [run(words, true)], ...bidi(words) }),
    none: (words: string) =>
      new Paragraph({ children: [new TextRun({ text: words, italics: true })] }),
    point: (words: string) => bullet([run(words)], words),
    quote: (quoted: QuoteView, after = "") => bullet(writeQuote(quoted, after, docx), quoted.text),
    /** What the quotes after it are about: words, bold ones by a leading `*`. */
    lead: (parts: readonly string[]) =>
      new Paragraph({
        keepNext: true,
        children: parts.map((part) =>
          part.startsWith("*") ? run(part.slice(1), true) : run(part),
        ),
        ...bidi(parts.join("").slice(1)),
      }),
  };
}

type Paragraphs = ReturnType<typeof paragraphsOf>;

function writeReport(view: ReportView, docx: Docx): Paragraph[] {
  const write = paragraphsOf(docx);
  const { title, heading, text, bold, none, point, quote } = write;
  const source = [view.file_name, view.duration, view.channel, view.published_at, view.url];
  return [
    title(view.title),
    text(source.filter((part) => part !== null && part !== "").join(" · ")),
    ...view.lacks.map(({ stage, why }) => bold(`Missing (${stage}): ${why}`)),
    heading("Summary"),
    view.summary === null ? none("No summary was written.") : text(view.summary),
    ...(view.summary !== null && view.summary_is_unverified
      ? [bold("unverified: no quote supports it")]
      : []),
    ...view.summary_quotes.map((each) => quote(each)),
    ...view.key_points.map((each) => point(`“${each}”`)),
    ...(view.sentiment === null
      ? []
      : [
          heading("Tone", "HEADING_2"),
          text(view.sentiment.overall),
          ...view.sentiment.quotes.map((each) => quote(each)),
        ]),
    ...(view.topics.length === 0
      ? []
      : [heading("Topics"), ...view.topics.map((topic) => point(describeTopic(topic)))]),
    heading("Key moments"),
    ...(view.moments.length === 0 ? [none("None was found.")] : []),
    ...view.moments.map((moment) =>
      quote(moment, moment.description === "" ? "" : ` — ${moment.description}`),
    ),
    heading("People, places and things"),
    ...(view.entity_count === 0 ? [none("None was found.")] : []),
    ...view.entity_groups.flatMap((group) => writeEntities(group, write)),
    heading("Relationships"),
    ...(view.relationships.length === 0 ? [none("None was found.")] : []),
    ...view.relationships.flatMap((each) => writeRelationship(each, write)),
    heading("How this was made"),
    ...writeMethod(view.method).map((line) => text(line)),
  ];
}

function describeTopic({ name, quotes: [first] }: ReportView["topics"][number]): string {
  if (first === undefined) return name;
  return first.is_unverified ? `${name} (unverified)` : `${name} ${timesIn(name, first.span)}`;
}

function writeEntities(
  group: ReportView["entity_groups"][number],
  { heading, lead, quote }: Paragraphs,
): Paragraph[] {
  const entities = group.entities.flatMap((entity) => {
    const aliases = entity.aliases === "" ? "" : ` · also: ${entity.aliases}`;
    const mentioned = entity.is_unverified ? "*unverified" : `mentioned ${entity.mentions}×`;
    const name = lead([`*${entity.name}`, " · ", mentioned, aliases]);
    return [name, ...entity.quotes.map((each) => quote(each))];
  });
  return [heading(group.name, "HEADING_2"), ...entities];
}

function writeRelationship(
  { subject, predicate, object, contradictions, quotes }: ReportView["relationships"][number],
  { lead, quote }: Paragraphs,
): Paragraph[] {
  const against = contradictions === "" ? "" : ` · contradicts ${contradictions}`;
  const said = lead([`*${subject}`, ` — ${predicate} → `, `*${object}`, against]);
  return [said, ...quotes.map((each) => quote(each))];
}

function writeMethod(method: ReportView["method"]): string[] {
  const { quotes, verified, repaired, unverified } = method;
  return [
    `Words: ${method.transcript}`,
    `Findings: ${method.findings}`,
    `Quotes: ${quotes}, of these ${verified} verified word for word, ${repaired} repaired, ${unverified} unverified`,
    `Made by ClipScribe ${method.version}, pipeline ${method.pipeline}; cost ${method.cost}`,
    `Source SHA-256: ${method.source_sha256}`,
  ];
}

/** `[00:12:31–00:12:44] Name: “…”`, linked where the source is on the web. */
function writeQuote(
  { span, link, speaker, text, verification, doubt }: QuoteView,
  after: string,
  { ExternalHyperlink, TextRun }: Docx,
): Child[] {
  const times = timesIn(text, span);
  // A relative link would mean a folder that the document is no longer in.
  const isWeb = link !== null && /^https?:/.test(link);
  const doubts = [...(verification === "verified" ? [] : [verification]), doubt].filter(Boolean);
  const label = doubts.length === 0 ? "" : ` (${doubts.join("; ")})`;
  return [
    isWeb
      ? new ExternalHyperlink({
          link,
          children: [new TextRun({ text: times, style: "Hyperlink" })],
        })
      : new TextRun(times),
    new TextRun({ text: speaker === null ? " " : ` ${speaker}: `, ...rightToLeft(speaker ?? "") }),
    new TextRun({ text: `“${text}”`, ...rightToLeft(text) }),
    new TextRun({ text: label, bold: true }),
    new TextRun(after),
  ];
}

/** Isolated in a line from the right, where the earlier time would else come last. */
function timesIn(line: string, span: string): string {
  return fromTheRight.test(line) ? `\u2066[${span}]\u2069` : `[${span}]`;
}

function rightToLeft(text: string): { rightToLeft?: true } {
  return fromTheRight.test(text) ? { rightToLeft: true } : {};
}

function withoutTimes(archive: Uint8Array): Uint8Array {
  const files = unzipSync(archive);
  const core = files["docProps/core.xml"];
  if (core !== undefined) {
    files["docProps/core.xml"] = strToU8(strFromU8(core).replaceAll(TIMES, ""));
  }
  return zipSync(files, { mtime: FIXED_TIME });
}
