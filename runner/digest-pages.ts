/**
 * `digest.md` and `digest.html`: what became of a job's items, what it cost, and what needs a person.
 * Titles and messages come from outside, so everything is escaped for where it stands; the page
 * allows no script and loads nothing.
 */
import { createHash } from "node:crypto";

import { escapeMarkdown, escapeXml } from "../core/escape-text.ts";
import { countsInWords } from "../core/job-digest.ts";
import type { Digest, DigestItem } from "../core/message-records.ts";
import { formatUsd } from "../core/money.ts";

const STYLE = `
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a; background: #fff }
h1 { font-size: 1.4rem } h2 { font-size: 1.1rem; margin-top: 2rem }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top; padding: .35rem .75rem .35rem 0; border-bottom: 1px solid #ddd }
td.cost { text-align: right; white-space: nowrap }
code { background: #f2f2f2; padding: .1rem .3rem; overflow-wrap: anywhere }
.held, .failed { color: #a11212 } .partial { color: #7a5200 }
@media (prefers-color-scheme: dark) { body { color: #eee; background: #161616 } th, td { border-color: #444 }
code { background: #2a2a2a } a { color: #8ab4f8 } .held, .failed { color: #ff8a80 } .partial { color: #ffd180 } }
@media print { body { margin: 0; max-width: none } }
`;

export function renderDigestMarkdown(digest: Digest): string {
  const { items, graph } = digest;
  const open = items.filter(({ act }) => act !== null);
  const lines = [
    `# Job ${escapeMarkdown(digest.job_id)}`,
    "",
    `${countsInWords(digest.counts)}. Cost: ${formatUsd(digest.cost_usd)}.`,
    "",
    `Submitted ${digest.submitted_at}, finished ${digest.finished_at}, pipeline ${escapeMarkdown(digest.pipeline.name)}.`,
  ];
  if (open.length > 0) {
    lines.push("", "## What needs you", "");
    for (const item of open) {
      const { say = "", command = null } = item.act ?? {};
      const why = item.why.map((line) => `: ${escapeMarkdown(line)}`).join("");
      const run = command === null ? "" : ` → \`${command}\``;
      lines.push(
        `- ${escapeMarkdown(item.title)} — ${item.status}${why}. ${escapeMarkdown(say)}${run}`,
      );
    }
  }
  lines.push("", "## Items", "", "| item | status | cost | why |", "|---|---|---|---|");
  for (const item of items) {
    const title = escapeMarkdown(item.title);
    const name = item.report === null ? title : `[${title}](${encodeURI(item.report)})`;
    const why = escapeMarkdown(item.why.join("; "));
    lines.push(`| ${name} | ${item.status} | ${formatUsd(item.cost_usd)} | ${why} |`);
  }
  lines.push("", describeGraph(graph));
  for (const { item_id: item, why } of graph.left_out) {
    lines.push(`- left out: ${item} — ${escapeMarkdown(why)}`);
  }
  return `${lines.join("\n")}\n`;
}

export function renderDigestHtml(digest: Digest): string {
  const { items, graph, counts } = digest;
  const open = items.filter(({ act }) => act !== null);
  const hash = createHash("sha256").update(STYLE).digest("base64");
  const policy = `default-src 'none'; style-src 'sha256-${hash}'; base-uri 'none'; form-action 'none'`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Job ${escapeXml(digest.job_id)}</title>
<style>${STYLE}</style>
</head>
<body>
<h1>Job ${escapeXml(digest.job_id)}</h1>
<p>${escapeXml(countsInWords(counts))}. Cost: ${formatUsd(digest.cost_usd)}.</p>
<p>Submitted <time datetime="${digest.submitted_at}">${digest.submitted_at}</time>, finished
<time datetime="${digest.finished_at}">${digest.finished_at}</time>, pipeline ${escapeXml(digest.pipeline.name)}.</p>
${open.length === 0 ? "" : `<h2>What needs you</h2>\n<ul>\n${open.map(openItem).join("\n")}\n</ul>`}
<h2>Items</h2>
<table>
<thead><tr><th scope="col">Item</th><th scope="col">Status</th><th scope="col">Cost</th><th scope="col">Why</th></tr></thead>
<tbody>
${items.map(row).join("\n")}
</tbody>
</table>
<p>${escapeXml(describeGraph(graph))}</p>
${graph.left_out.length === 0 ? "" : `<ul>\n${graph.left_out.map(({ item_id: item, why }) => `<li>left out: ${item} — ${escapeXml(why)}</li>`).join("\n")}\n</ul>`}
</body>
</html>
`;
}

function openItem({ title, status, why, act }: DigestItem): string {
  const reasons = why.map((line) => `: ${escapeXml(line)}`).join("");
  const command = act?.command == null ? "" : ` <br><code>${escapeXml(act.command)}</code>`;
  return `<li><strong>${escapeXml(title)}</strong> — <span class="${status}">${status}</span>${reasons}. ${escapeXml(act?.say ?? "")}${command}</li>`;
}

function row({ title, status, cost_usd: cost, why, report }: DigestItem): string {
  const name =
    report === null
      ? escapeXml(title)
      : `<a href="${escapeXml(encodeURI(report))}">${escapeXml(title)}</a>`;
  return `<tr><td>${name}</td><td class="${status}">${status}</td><td class="cost">${formatUsd(cost)}</td><td>${escapeXml(why.join("; "))}</td></tr>`;
}

function describeGraph({ nodes, edges }: Digest["graph"]): string {
  if (nodes === 0) return "No names were found, or none were looked for.";
  return `knowledge_graph.json holds ${nodes} names and ${edges} relationships of all items together.`;
}
