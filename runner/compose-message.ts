/**
 * The message that tells of a finished job: one text for people, one JSON for programs. Pure, and the
 * same for the same job, so that every try sends the same bytes. Nothing of it becomes a header but
 * the job's id, which is made of letters, digits and hyphens.
 */
import type { ErrorRecord } from "../core/errors.ts";
import { escapeXml } from "../core/escape-text.ts";
import type { JobId, Sha256, UserId } from "../core/ids.ts";
import { countsInWords } from "../core/job-digest.ts";
import type { Digest, DigestItem } from "../core/message-records.ts";
import { formatUsd } from "../core/money.ts";

/** A mail is read on a telephone; the digest has the rest. */
const MAX_LISTED = 50;

export interface JobStory {
  job: JobId;
  user: UserId;
  /** Null where it could not be made. */
  digest: Digest | null;
  /** Why there is no digest. */
  error: ErrorRecord | null;
  /** Of its rows alone, where there is no digest. */
  counts: Digest["counts"];
  costUsd: number;
  /** Ends with a slash. */
  resultsUrl: string;
  /** Beside the items' results. */
  hasDigest: boolean;
}

export interface Wording {
  subject: string;
  text: string;
  html: string;
  body: string;
}

export function composeMessage(story: JobStory, id: Sha256): Wording {
  const { job, digest, error, counts, resultsUrl } = story;
  const open = (digest?.items ?? []).filter(({ act }) => act !== null);
  return {
    subject: `ClipScribe: Job ${job} complete`,
    text: writeText(story, open),
    html: writeHtml(story, open),
    body: JSON.stringify({
      event: "job.complete",
      job_id: job,
      results_url: resultsUrl,
      cost: story.costUsd,
      video_count: Object.values(counts).reduce((sum, count) => sum + count, 0),
      user: story.user,
      counts,
      submitted_at: digest?.submitted_at ?? null,
      finished_at: digest?.finished_at ?? null,
      digest_url: story.hasDigest ? `${resultsUrl}digest.html` : null,
      digest_error: error?.message ?? null,
      fetch: fetchCommand(job),
      needs_person: open.slice(0, MAX_LISTED).map(({ item_id, status, why, act }) => ({
        item_id,
        status,
        why,
        say: act?.say ?? null,
        command: act?.command ?? null,
      })),
      needs_person_count: open.length,
      message_id: id,
    }),
  };
}

function fetchCommand(job: JobId): string {
  return `clipscribe batch fetch ${job}`;
}

function writeText(story: JobStory, open: readonly DigestItem[]): string {
  const { job, counts, costUsd, resultsUrl, error } = story;
  const lines = [
    `Job ${job} is complete: ${countsInWords(counts)}. Cost: ${formatUsd(costUsd)}.`,
    "",
    ...tableOf(story).map(([name, value]) => `  ${name.padEnd(10)} ${value}`),
  ];
  if (error !== null) lines.push("", `There is no digest: ${error.message}`);
  if (open.length > 0) lines.push("", `What needs you (${open.length})`);
  for (const { title, status, why, act } of open.slice(0, MAX_LISTED)) {
    lines.push("", `  ${title} - ${[status, ...why].join(": ")}`);
    if (act !== null) lines.push(`    ${act.say}`);
    if (act?.command != null) lines.push(`    ${act.command}`);
  }
  if (open.length > MAX_LISTED) lines.push("", `  and ${open.length - MAX_LISTED} more`);
  lines.push("", `Fetch the results: ${fetchCommand(job)}`, `View them: ${resultsUrl}`, "");
  return lines.join("\n");
}

function writeHtml(story: JobStory, open: readonly DigestItem[]): string {
  const { job, counts, costUsd, resultsUrl, error } = story;
  const rows = tableOf(story).map(
    ([name, value]) => `<tr><td>${name}</td><td align="right">${value}</td></tr>`,
  );
  const items = open.slice(0, MAX_LISTED).map(({ title, status, why, act }) => {
    const said = act === null ? "" : `<br>${escapeXml(act.say)}`;
    const command = act?.command == null ? "" : `<br><code>${escapeXml(act.command)}</code>`;
    const what = escapeXml([status, ...why].join(": "));
    return `<li><b>${escapeXml(title)}</b> — ${what}${said}${command}</li>`;
  });
  const more = open.length > MAX_LISTED ? `<p>and ${open.length - MAX_LISTED} more</p>` : "";
  const needs =
    open.length === 0
      ? ""
      : `<h2>What needs you (${open.length})</h2><ul>${items.join("")}</ul>${more}`;
  const trouble = error === null ? "" : `<p>There is no digest: ${escapeXml(error.message)}</p>`;
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Job ${job}</title></head><body>
<p>Job <b>${job}</b> is complete: ${countsInWords(counts)}. Cost: ${formatUsd(costUsd)}.</p>
<table cellpadding="4">${rows.join("")}</table>
${trouble}${needs}
<p>Fetch the results: <code>${fetchCommand(job)}</code></p>
<p>View them: ${viewLink(resultsUrl)}</p>
</body></html>
`;
}

/** Only what a browser can open is a link. */
function viewLink(url: string): string {
  const shown = escapeXml(url);
  return /^https?:\/\//.test(url) ? `<a href="${shown}">${shown}</a>` : `<code>${shown}</code>`;
}

function tableOf({ counts, costUsd }: JobStory): [string, string][] {
  const rows = Object.entries(counts).filter(([name, count]) => count > 0 || name !== "cancelled");
  return [
    ...rows.map(([name, count]): [string, string] => [name, String(count)]),
    ["cost", formatUsd(costUsd)],
  ];
}
