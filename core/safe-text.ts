/**
 * Text from outside (titles, file names, transcripts, error messages of tools) made safe for a
 * terminal and for one line of a log: no escape sequences, no control codes, no characters that
 * reorder or hide what follows.
 */

// oxlint-disable-next-line no-control-regex -- control codes are what is removed here
const escapeSequence = /\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|.)?/g;
// oxlint-disable-next-line no-control-regex -- the same; also bidi controls, zero width, BOM, tags
const unsafe =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu;

/** Keeps line breaks and tabs; everything invisible that acts is gone. */
export function safeText(text: string): string {
  return text
    .toWellFormed()
    .replaceAll(escapeSequence, "")
    .replaceAll("\r\n", "\n")
    .replaceAll(unsafe, "");
}

/** One line, white space collapsed, cut to `maxChars` with an ellipsis. */
export function safeLine(text: string, maxChars = 500): string {
  const line = safeText(text.slice(0, maxChars * 4))
    .replaceAll(/\s+/g, " ")
    .trim();
  return line.length <= maxChars ? line : `${line.slice(0, maxChars - 1).trimEnd()}…`;
}

const signedQuery = /\?[^\s"'<>]*X-Amz-(?:Signature|Credential|Security-Token)[^\s"'<>]*/gi;

/** What others say may repeat an address that opens an object: who reads it here can't use it. */
export function withoutSignatures(text: string): string {
  return text.replaceAll(signedQuery, "?…");
}
