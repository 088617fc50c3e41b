/** Text from outside made to stay text, whatever it is put into. */

/** Text inside an element or a quoted attribute of HTML, SVG or XML. */
export function escapeXml(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}

/** Text that stays text in Markdown: no links, images, HTML, headings, tables or rules. */
export function escapeMarkdown(text: string): string {
  return (
    text
      .replaceAll(/[\\`*_{}[\]<>()#|~!$]/g, String.raw`\$&`)
      .replaceAll(/(?<=^|\n)(\s*)([-+=])/g, String.raw`$1\$2`)
      // `1. ` begins a list, `45.5` does not; a parenthesis is escaped already.
      .replaceAll(/(?<=^|\n)(\s*\d+)\.(?=\s|$)/g, String.raw`$1\.`)
      .replaceAll(/\n{2,}/g, "\n")
      .replaceAll("&", "&amp;")
      .replaceAll(/\b(https?|ftp|www)(?=[:.])/gi, (scheme) => `${scheme}\u2060`)
  );
}
