/**
 * The report: who said what, with each quote linked to its second. `report.html` is one file that
 * opens offline and runs nothing but its own script; `report.md` says the same in plain text; both
 * come from templates that a person may edit. `report.docx` is for marking up.
 */
import { z } from "zod";

import { Intelligence, KnowledgeGraph } from "../core/intelligence.ts";
import { MediaInfo } from "../core/media-info.ts";
import { ItemInfo } from "../core/records.ts";
import { Provenance, defineStage, file, json } from "../core/stage.ts";
import { Transcript } from "../core/transcript.ts";
import { renderTemplate } from "./report/render-template.ts";
import { toDocx } from "./report/report-docx.ts";
import { buildView } from "./report/report-view.ts";

export default defineStage({
  input: {
    item: json(ItemInfo),
    media: json(MediaInfo),
    transcript: json(Transcript),
    intelligence: json(Intelligence),
    knowledge_graph: json(KnowledgeGraph),
    provenance: json(Provenance),
  },
  output: {
    report_md: file({ mediaType: "text/markdown", fileName: "report.md" }),
    report_html: file({ mediaType: "text/html", fileName: "report.html" }),
    report_docx: file({
      mediaType: "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
      fileName: "report.docx",
    }),
  },
  params: z.strictObject({
    template: z.string().default("templates/report.md"),
    html_template: z.string().default("templates/report.html"),
    /** The published sound that quotes link to where the source has no URL; null: no player. */
    player: z
      .string()
      .regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/)
      .nullable()
      .default("audio.m4a"),
  }),
  textParams: ["template", "html_template"],

  estimate: () => ({ seconds: 1, costUsd: 0 }),

  async run({ input, params, ctx }) {
    const view = buildView(input, params.player);
    const markdown = await renderTemplate(params.template, view, "markdown");
    ctx.progress(0.3, "writing the page");
    const html = await renderTemplate(params.html_template, view, "html");
    ctx.progress(0.7, "writing the document");
    const document = await toDocx(view);
    return {
      report_md: await ctx.write("report.md", `${markdown.replaceAll(/\n{3,}/g, "\n\n").trim()}\n`),
      report_html: await ctx.write("report.html", html),
      report_docx: await ctx.write("report.docx", document),
    };
  },
});
