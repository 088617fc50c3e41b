/** From yt-dlp's last words to an error of ours: what kind it is, and what a person does next. */
import { ClipscribeError } from "../../core/errors.ts";
import { safeLine } from "../../core/safe-text.ts";
import type { SandboxedResult } from "../sandbox/sandboxed.ts";

/** Where the site does not want this visitor, or not yet. */
const refused =
  /Private video|Sign in|log ?in|members[- ]only|HTTP Error 40[13]|not a bot|age[- ]restricted|not available in your country|geo[- ]?restrict|DRM/i;
const tooMany = /HTTP Error 429|Too Many Requests|rate.?limit/i;
const notThere =
  /Unsupported URL|HTTP Error (?:404|410)|unavailable|no video|removed|does not exist|not a valid URL/i;
/** The program no longer understands the site: only a newer one does. */
const outdated = /Unable to extract|nsig|Failed to (?:parse|extract)|Signature extraction/i;

/** `age`: one sentence about an old yt-dlp, else null. */
export function describeFailure(
  result: SandboxedResult,
  url: URL,
  age: string | null,
): ClipscribeError {
  const reason = reasonOf(result.stderr);
  const details = { host: url.hostname, reason };
  const hintWith = (hint: string): string => (age === null ? hint : `${age}; ${hint}`);
  if (result.capped === "time") {
    return new ClipscribeError("transient", "the download took too long", { details });
  }
  if (result.endedBy !== null || /MemoryError/.test(result.stderr)) {
    return new ClipscribeError("transient", "the download was ended by its limits", {
      details: { ...details, signal: result.endedBy ?? undefined },
      hint: "submit it again; if it stays so, download it in your browser and drop the file",
    });
  }
  if (tooMany.test(reason)) {
    return new ClipscribeError("transient", "the site asks for a pause", {
      details,
      hint: "submit the list again in an hour: what is there is not fetched again",
    });
  }
  if (refused.test(reason)) {
    return new ClipscribeError("denied", "the site does not give this video out", {
      details,
      hint: hintWith("download it in your browser, then drop the file"),
    });
  }
  if (notThere.test(reason)) {
    return new ClipscribeError("contract", "there is no video to download", {
      details,
      hint: hintWith("check the address in a browser"),
    });
  }
  if (outdated.test(reason)) {
    return new ClipscribeError("contract", "yt-dlp does not understand this site any more", {
      details,
      hint: hintWith("then submit it again"),
    });
  }
  return new ClipscribeError("transient", "the download failed", {
    details,
    hint: hintWith("check your connection, then submit it again"),
  });
}

function reasonOf(stderr: string): string {
  const lines = stderr.split("\n");
  const last = lines.filter((line) => line.startsWith("ERROR:")).at(-1);
  const said = last?.slice("ERROR:".length) ?? lines.at(-2) ?? "";
  // What a person can use of it: not which extractor, not its inner cause, not where to report.
  const plain = said
    .replace(/; please report this issue[\s\S]*/i, "")
    .replace(/ \(caused by [\s\S]*/, "")
    .replace(/^\s*\[[\w:+.-]+\]\s*(?:[\w-]+: )?/, "");
  return safeLine(plain, 300);
}
