/**
 * The identifiers that become parts of keys and folder names. Each is validated once, on the way
 * in, and carried as a branded string from there: a key can't be built from an unchecked string.
 */
import { z } from "zod";

import { ID_PATTERN, MAX_ID_CHARS, MAX_USER_CHARS } from "./id-pattern.ts";

const MAX_SLUG_CHARS = 60;

const id = z.string().max(MAX_ID_CHARS).regex(ID_PATTERN, "use a-z, 0-9 and -, not at the ends");

export const UserId = id.max(MAX_USER_CHARS).brand<"UserId">();
export type UserId = z.infer<typeof UserId>;

/** `20261123-2041-council-meeting-7f3a`, or `run-{slug}-{sha8}` for a one-off. */
export const JobId = id.brand<"JobId">();
export type JobId = z.infer<typeof JobId>;

/** A slug of the title or file name, unique in its job; also the folder name a person sees. */
export const ItemId = id.brand<"ItemId">();
export type ItemId = z.infer<typeof ItemId>;

/** New at each start of a runner, so that a restarted runner never inherits a claim. */
export const RunnerId = id.brand<"RunnerId">();
export type RunnerId = z.infer<typeof RunnerId>;

export const Sha256 = z
  .string()
  .regex(/^[0-9a-f]{64}$/, "a SHA-256 is 64 lower-case hex digits")
  .brand<"Sha256">();
export type Sha256 = z.infer<typeof Sha256>;

/** Counts the tickets of an item: submit, approve, resume and replay each make a new run. */
export const RunNumber = z.int().min(1).max(1_000_000);

export const Lane = z.enum(["urgent", "batch"]);
export type Lane = z.infer<typeof Lane>;

/**
 * Returns the readable, safe form of a title or file name: ASCII lower case, words joined by `-`.
 *
 * Names without any Latin letter or digit give `fallback`.
 */
export function slugOf(name: string, fallback = "item"): string {
  const slug = name
    .normalize("NFKD")
    .replaceAll(/\p{M}+/gu, "")
    .toLowerCase()
    .replaceAll("ß", "ss")
    .replaceAll("ø", "o")
    .replaceAll("æ", "ae")
    .replaceAll("ł", "l")
    .replaceAll(/[^a-z0-9]+/g, "-")
    .replaceAll(/^-+|-+$/g, "");
  return slug.slice(0, MAX_SLUG_CHARS).replace(/-+$/, "") || fallback;
}

/** How a runner's id begins: the machine it works on. */
export function hostSlug(host: string): string {
  return slugOf(host, "host").slice(0, 30).replace(/-+$/, "");
}

/** Returns `base`, or `base-{suffix}` shortened to the bound of an id. */
export function joinId(base: string, suffix: string): string {
  const room = MAX_ID_CHARS - suffix.length - 1;
  return `${base.slice(0, room).replace(/-+$/, "")}-${suffix}`;
}
