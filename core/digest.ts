/**
 * SHA-256 and the one canonical JSON form that keys and digests are computed over. The only file
 * of core/ that imports from Node: a hash in plain JavaScript would be slower and no purer.
 */
import { hash } from "node:crypto";

import type { Sha256 } from "./ids.ts";

/** Returns the lower-case hex SHA-256 of bytes, or of a string's UTF-8. */
export function sha256Of(content: Uint8Array | string): Sha256 {
  return hash("sha256", content, "hex") as Sha256;
}

/** Returns the SHA-256 of a value's canonical JSON. */
export function digestOf(value: unknown): Sha256 {
  return sha256Of(canonicalJson(value));
}

/**
 * Serialises JSON with object keys sorted by UTF-16 code unit and without white space; `undefined`
 * members are left out. The same value gives the same text on any machine.
 */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, member: unknown) => {
    if (typeof member !== "object" || member === null || Array.isArray(member)) return member;
    const sorted: Record<string, unknown> = Object.create(null) as Record<string, unknown>;
    for (const key of Object.keys(member).toSorted()) {
      sorted[key] = (member as Record<string, unknown>)[key];
    }
    return sorted;
  });
}
