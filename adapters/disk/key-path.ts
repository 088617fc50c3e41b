/**
 * A key's path in the disk store: its own text, with one reversible escape where a file system
 * needs it, so that a person can `ls` the state.
 *
 *  - bytes other than `a-z 0-9 _ -` and `.` become `%xx`: case-insensitive and NFD file systems
 *    then keep `A` beside `a`, and é in either form;
 *  - `.` stays in file names and is `%2e` in folder names, and a file name without any `.` ends in
 *    `%`: so `x` can lie beside `x/y`;
 *  - what is longer than a file name may be continues in a folder whose name ends in `%+`.
 */
import { ClipscribeError } from "../../core/errors.ts";
import { parseObjectKey } from "../../core/keys.ts";
import type { ObjectKey } from "../../core/keys.ts";

/** File systems allow 255 bytes; the rest is room for suffixes of temporary names. */
const MAX_NAME_BYTES = 200;
const CONTINUED = "%+";

/** Keys as nearly all are: no name needs an escape, and none is too long. */
const PLAIN = /^(?:[a-z0-9_-]{1,150}\/)*[a-z0-9_-]{1,150}(\.[a-z0-9_.-]{0,48})?$/;

/** Returns the relative path of a key, with `/` between names. */
export function pathOfKey(key: ObjectKey): string {
  const plain = PLAIN.exec(key);
  if (plain !== null) return plain[1] === undefined ? `${key}%` : key;
  const segments = key.split("/");
  const names = segments.map((segment, index) => {
    const escaped = escapeSegment(segment, index === segments.length - 1);
    return chunk(escaped).join(`${CONTINUED}/`);
  });
  return names.join("/");
}

/** As a folder is named that is neither escaped nor cut. */
const PLAIN_FOLDER = /^[a-z0-9_-]{1,150}$/;

/**
 * The first folders of all keys that begin with the prefix, as far as they are their own names: every
 * such key lies in them, whatever else it has in it.
 */
export function foldersOfPrefix(prefix: string): string[] {
  const whole = prefix.split("/").slice(0, -1);
  const end = whole.findIndex((segment) => !PLAIN_FOLDER.test(segment));
  return end === -1 ? whole : whole.slice(0, end);
}

/** How a name in a folder continues the key of that folder. */
export type DecodedName =
  | { kind: "object"; suffix: string }
  /** `suffix` ends in `/`, except where the folder only continues a long name. */
  | { kind: "folder"; suffix: string };

/** Returns `undefined` for names that no key has: temporary files, a person's own. */
export function decodeName(name: string, isFolder: boolean): DecodedName | undefined {
  const decode = (text: string): string | undefined => {
    if (!/^(?:[a-z0-9_.-]|%[0-9a-f]{2})*$/.test(text)) return undefined;
    try {
      return decodeURIComponent(text);
    } catch {
      return undefined;
    }
  };
  if (name.startsWith(".")) return undefined;
  if (isFolder && name.endsWith(CONTINUED)) {
    const suffix = decode(name.slice(0, -CONTINUED.length));
    return suffix === undefined ? undefined : { kind: "folder", suffix };
  }
  const plain = !isFolder && name.endsWith("%") ? name.slice(0, -1) : name;
  const segment = decode(plain);
  if (segment === undefined) return undefined;
  return isFolder ? { kind: "folder", suffix: `${segment}/` } : { kind: "object", suffix: segment };
}

/** @throws `contract` where a key can't be one. */
export function keyFromParts(prefix: string, suffix: string): ObjectKey {
  return parseObjectKey(prefix + suffix);
}

function escapeSegment(segment: string, isLast: boolean): string {
  let escaped = "";
  for (const byte of Buffer.from(segment, "utf8")) {
    const char = String.fromCharCode(byte);
    const plain = /[a-z0-9_-]/.test(char) || (char === "." && isLast && escaped !== "");
    escaped += plain ? char : `%${byte.toString(16).padStart(2, "0")}`;
  }
  return isLast && !escaped.includes(".") ? `${escaped}%` : escaped;
}

/** Cuts between escapes and between characters of one code point, so that each part decodes. */
function chunk(escaped: string): string[] {
  if (escaped.length <= MAX_NAME_BYTES) return [escaped];
  const units = escaped.match(/(?:%[c-f][0-9a-f](?:%[89ab][0-9a-f])+|%[0-9a-f]{2}|[^%]|%$)/g) ?? [];
  const parts: string[] = [];
  let part = "";
  for (const unit of units) {
    if (part.length + unit.length > MAX_NAME_BYTES && unit !== "%") {
      parts.push(part);
      part = "";
    }
    part += unit;
  }
  parts.push(part);
  if (parts.some((name) => name === "")) {
    throw new ClipscribeError("bug", "a key could not be cut into file names");
  }
  return parts;
}
