/**
 * Renders a report from a template and data. Data is escaped by default for its target, templates
 * can't read files, and rendering is bounded: both the template and the data come from outside.
 */
import { createHash } from "node:crypto";

import { Liquid } from "liquidjs";

import { ClipscribeError } from "../../core/errors.ts";
import { escapeMarkdown } from "../../core/escape-text.ts";

/** Milliseconds; a report of ten hours takes about one second. */
const RENDER_LIMIT_MS = 60_000;
const PARSE_LIMIT_CHARS = 1_000_000;
const MEMORY_LIMIT = 200_000_000;

export type TemplateTarget = "html" | "markdown";

export async function renderTemplate(
  template: string,
  view: object,
  target: TemplateTarget,
): Promise<string> {
  const engine = new Liquid({
    outputEscape: target === "html" ? "escape" : (value) => escapeMarkdown(String(value ?? "")),
    // No files: `include` and `render` find nothing.
    templates: {},
    ownPropertyOnly: true,
    strictFilters: true,
    renderLimit: RENDER_LIMIT_MS,
    parseLimit: PARSE_LIMIT_CHARS,
    memoryLimit: MEMORY_LIMIT,
  });
  try {
    const globals = target === "html" ? { csp: contentPolicy(template) } : {};
    return String(await engine.parseAndRender(template, { ...view, ...globals }));
  } catch (cause) {
    throw new ClipscribeError("contract", "the report's template can't be rendered", {
      details: { target, problem: cause instanceof Error ? cause.message : String(cause) },
      hint: "correct the template; its language is Liquid (docs/formats.md)",
      cause,
    });
  }
}

/**
 * Allows exactly the scripts and styles that stand in the template itself, by hash: whatever data
 * smuggles in, it does not run. https://www.w3.org/TR/CSP3/
 */
export function contentPolicy(template: string): string {
  const hashes = (tag: string): string => {
    const found = template.matchAll(new RegExp(`<${tag}>([^]*?)</${tag}>`, "g"));
    const list = [...found].map(
      ([, content]) =>
        `'sha256-${createHash("sha256")
          .update(content ?? "")
          .digest("base64")}'`,
    );
    return list.length === 0 ? "'none'" : list.join(" ");
  };
  return [
    "default-src 'none'",
    "media-src 'self' file: blob:",
    "img-src data:",
    `style-src ${hashes("style")}`,
    `script-src ${hashes("script")}`,
    "base-uri 'none'",
    "form-action 'none'",
  ].join("; ");
}
