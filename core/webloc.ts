/**
 * The address in a macOS `.webloc` file: a property list with one key, `URL`, as XML or in Apple's
 * binary form. Of that form only what such a file holds is read: a dictionary of strings. The layout
 * is CFBinaryPList's: objects, a table of their offsets, and a trailer of 32 bytes.
 */
import { ClipscribeError } from "./errors.ts";

const TRAILER_BYTES = 32;
/** A link file has a handful; a table of millions is an attack. */
const MAX_OBJECTS = 10_000;

/** @throws `contract` where there is no address in it. */
export function readWebloc(content: string | Uint8Array): string {
  const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
  const isBinary = new TextDecoder("latin1").decode(bytes.subarray(0, 6)) === "bplist";
  const url = isBinary ? readBinary(bytes) : readXml(new TextDecoder().decode(bytes));
  if (url !== undefined && url.trim() !== "") return url.trim();
  throw new ClipscribeError("contract", "the .webloc file holds no address", {
    hint: "copy its address into a text file, one URL a line",
  });
}

function readXml(text: string): string | undefined {
  const plain = text.replaceAll(/<!--[\s\S]*?-->/g, "");
  const value = /<key>\s*URL\s*<\/key>\s*<string>([^<]*)<\/string>/.exec(plain)?.[1];
  return value?.replaceAll(/&(?:#(\d{1,7})|#x([0-9a-f]{1,6})|(amp|lt|gt|quot|apos));/gi, decode);
}

const NAMED: Record<string, string> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };

function decode(whole: string, decimal?: string, hex?: string, name?: string): string {
  if (name !== undefined) return NAMED[name.toLowerCase()] ?? whole;
  const code = decimal === undefined ? Number.parseInt(hex ?? "", 16) : Number(decimal);
  return code <= 0x10ffff ? String.fromCodePoint(code) : whole;
}

/** Undefined for whatever is not a dictionary with that key; every offset is checked. */
function readBinary(bytes: Uint8Array): string | undefined {
  if (bytes.length < 8 + TRAILER_BYTES) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const trailer = bytes.length - TRAILER_BYTES;
  const offsetBytes = bytes[trailer + 6] ?? 0;
  const referenceBytes = bytes[trailer + 7] ?? 0;
  const count = Number(view.getBigUint64(trailer + 8));
  const root = Number(view.getBigUint64(trailer + 16));
  const table = Number(view.getBigUint64(trailer + 24));
  if (count > MAX_OBJECTS || root >= count) return undefined;

  const readInt = (at: number, size: number): number => {
    if (size < 1 || size > 8 || at < 0 || at + size > trailer) return -1;
    let value = 0;
    for (const byte of bytes.subarray(at, at + size)) value = value * 256 + byte;
    return value;
  };
  const offsetOf = (object: number): number =>
    object < 0 || object >= count ? -1 : readInt(table + object * offsetBytes, offsetBytes);
  /** Where an object's content begins, and its length: 15 says that an integer follows. */
  const contentOf = (at: number): { start: number; length: number } => {
    const short = (bytes[at] ?? 0) & 0x0f;
    if (short !== 0x0f) return { start: at + 1, length: short };
    const size = 2 ** ((bytes[at + 1] ?? 0) & 0x0f);
    return { start: at + 2 + size, length: readInt(at + 2, size) };
  };
  const readString = (at: number): string | undefined => {
    const kind = (bytes[at] ?? 0) >> 4;
    if (at < 0 || (kind !== 5 && kind !== 6)) return undefined;
    const { start, length } = contentOf(at);
    const end = start + length * (kind === 6 ? 2 : 1);
    if (length < 0 || end > trailer) return undefined;
    const encoding = kind === 6 ? "utf-16be" : "latin1";
    return new TextDecoder(encoding).decode(bytes.subarray(start, end));
  };

  const dictionary = offsetOf(root);
  if (dictionary < 0 || (bytes[dictionary] ?? 0) >> 4 !== 0x0d) return undefined;
  const { start, length } = contentOf(dictionary);
  for (let index = 0; index < Math.min(length, count); index++) {
    const key = readInt(start + index * referenceBytes, referenceBytes);
    if (readString(offsetOf(key)) !== "URL") continue;
    const value = readInt(start + (length + index) * referenceBytes, referenceBytes);
    return readString(offsetOf(value));
  }
  return undefined;
}
