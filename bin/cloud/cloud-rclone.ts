/**
 * `clipscribe cloud rclone`: templates/rclone.conf filled in, for the whole bucket, or for one user
 * by credentials that end. `clipscribe:` is the bucket itself; for a user, their own folders in it.
 */
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";

import { ClipscribeError } from "../../core/errors.ts";
import { EXIT } from "../../core/exit-codes.ts";
import { safeLine } from "../../core/safe-text.ts";
import { writePrivate } from "../config-edit.ts";
import { INSTALL_ROOT } from "../install.ts";
import type { Io } from "../io.ts";
import { fillTemplate } from "../login-service.ts";
import { readSettings } from "../settings.ts";
import { mintUserCredentials } from "./cloud-credentials.ts";
import { readBucketPlace } from "./cloud-settings.ts";
import type { BucketPlace } from "./cloud-settings.ts";

export interface RcloneFlags {
  user: string | null;
  ttlSeconds: number;
  /** Null: to stdout. */
  out: string | null;
}

/** What a person looks at or drops into; the rest of a user's prefixes is the program's. */
const USER_ROOMS = ["drops", "results", "jobs", "dead"] as const;

export async function cloudRclone(flags: RcloneFlags, io: Io): Promise<number> {
  const place = readBucketPlace(await readSettings(io));
  const text = writeRcloneConf(place, flags, new Date());
  if (flags.out === null) {
    io.stdout(text);
    return EXIT.complete;
  }
  const file = resolve(io.cwd, flags.out);
  writePrivate(file, text);
  // rclone 1.60 reads it, whatever its settings say, and fails: docs/rclone.md.
  const without = io.env["AWS_CA_BUNDLE"] === undefined ? "" : "env -u AWS_CA_BUNDLE ";
  const out = safeLine(flags.out, 300);
  io.stdout(`${safeLine(file, 500)}\n${without}rclone --config ${out} ls clipscribe:\n`);
  return EXIT.complete;
}

/** @throws `config` without keys, and for a value that would begin another line. */
export function writeRcloneConf(
  place: BucketPlace,
  { user, ttlSeconds }: Pick<RcloneFlags, "user" | "ttlSeconds">,
  now: Date,
): string {
  const { bucket, endpoint, keys } = place;
  const minted = user === null ? null : mintUserCredentials(place, { user, ttlSeconds }, now).own;
  const used = minted ?? keys;
  if (used === null) {
    throw new ClipscribeError("config", "R2_ACCESS_KEY_ID and R2_SECRET_ACCESS_KEY are needed", {
      hint: "they are those of an R2 token: Object Read & Write, or Object Read, for this bucket",
    });
  }
  const upstreams = USER_ROOMS.map((room) => `${room}=clipscribe-bucket:${bucket}/${room}/${user}`);
  const holes = {
    until: minted === null ? "" : `\n# Until ${minted.expiresAt.toISOString()}.`,
    endpoint,
    access_key_id: used.accessKeyId,
    secret_access_key: used.secretAccessKey,
    session_token: minted?.sessionToken ?? "",
    remote:
      user === null
        ? `type = alias\nremote = clipscribe-bucket:${bucket}`
        : `type = combine\nupstreams = ${upstreams.join(" ")}`,
  };
  for (const name of ["endpoint", "access_key_id", "secret_access_key"] as const) {
    if (!/[\s\u0000-\u001f]/.test(holes[name])) continue;
    throw new ClipscribeError("config", `the ${name} can't be written into rclone's settings`, {
      hint: "it holds a space or a line's end: correct it in the settings",
    });
  }
  return fillTemplate(readFileSync(join(INSTALL_ROOT, "templates", "rclone.conf"), "utf8"), holes);
}
