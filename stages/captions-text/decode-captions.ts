/**
 * Bytes of a caption file → text. UTF-8, or UTF-16 with or without its mark, is certain; the old
 * encodings of one byte a letter are told apart by the language that the file's name gives, and
 * otherwise read as Western only where they look it. What is neither is not read: a wrong letter in
 * a transcript is a wrong quote.
 */

export interface DecodedText {
  text: string;
  encoding: string;
  /** False where the bytes would be text in other encodings too. */
  isCertain: boolean;
}

/** By language, as subtitles were written before UTF-8: Windows' code pages and East Asia's own. */
const OLD_ENCODINGS: Record<string, string> = {
  ar: "windows-1256",
  fa: "windows-1256",
  ru: "windows-1251",
  uk: "windows-1251",
  pl: "windows-1250",
  cs: "windows-1250",
  el: "windows-1253",
  tr: "windows-1254",
  he: "windows-1255",
  ja: "shift_jis",
  ko: "euc-kr",
  zh: "gb18030",
};
const WESTERN = "windows-1252";
/** Of all letters: French has 1 accent in 25 letters; Cyrillic or Greek read as Western, nearly all. */
const MAX_WESTERN_ACCENTS = 0.15;

/** `language`: two letters, or null. Undefined where no encoding fits. */
export function decodeCaptions(
  bytes: Uint8Array,
  language: string | null,
): DecodedText | undefined {
  const unicode = unicodeOf(bytes);
  const certain = unicode && decode(bytes, unicode);
  if (certain !== undefined) return { text: certain, encoding: unicode ?? "", isCertain: true };
  // A text has no NULs: it would be UTF-16 cut in half, or no text.
  if (bytes.includes(0)) return undefined;
  const encoding = OLD_ENCODINGS[language ?? ""] ?? WESTERN;
  const text = decode(bytes, encoding);
  if (text === undefined || (encoding === WESTERN && !looksWestern(text))) return undefined;
  return { text, encoding, isCertain: false };
}

function unicodeOf(bytes: Uint8Array): string | undefined {
  const [first = 0, second = 0] = bytes;
  if (first === 0xff && second === 0xfe) return "utf-16le";
  if (first === 0xfe && second === 0xff) return "utf-16be";
  // Every caption file begins with ASCII: a digit, or WEBVTT.
  if (bytes.length > 1 && second === 0 && first !== 0) return "utf-16le";
  if (bytes.length > 1 && first === 0 && second !== 0) return "utf-16be";
  return decode(bytes, "utf-8") === undefined ? undefined : "utf-8";
}

function decode(bytes: Uint8Array, encoding: string): string | undefined {
  try {
    const text = new TextDecoder(encoding, { fatal: true }).decode(bytes);
    return text.includes("\u0000") ? undefined : text;
  } catch {
    return undefined;
  }
}

function looksWestern(text: string): boolean {
  const letters = text.match(/\p{L}/gu) ?? [];
  const accents = letters.filter((letter) => letter > "\u007f");
  // oxlint-disable-next-line no-control-regex -- what no Western text holds
  const hasControls = /[\u0000-\u0008\u000b\u000e-\u001f\u0080-\u009f]/.test(text);
  return !hasControls && accents.length <= letters.length * MAX_WESTERN_ACCENTS;
}
