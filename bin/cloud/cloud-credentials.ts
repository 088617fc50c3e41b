/**
 * `clipscribe cloud credentials --user NAME`: keys of the bucket for a while, that reach one user's
 * prefixes and read the pipelines. Signed here, on a server that has the long-lived keys; laptops
 * call it through ssh, as CLIPSCRIBE_CREDENTIALS_COMMAND.
 */
import { ClipscribeError } from "../../core/errors.ts";
import { EXIT } from "../../core/exit-codes.ts";
import { UserId } from "../../core/ids.ts";
import { prefixesOf } from "../../core/keys.ts";
import { mintSessionCredentials } from "../../core/session-credentials.ts";
import type { SessionCredentials } from "../../core/session-credentials.ts";
import type { Io } from "../io.ts";
import { readSettings } from "../settings.ts";
import { readBucketPlace } from "./cloud-settings.ts";
import type { BucketPlace } from "./cloud-settings.ts";

export interface UserCredentials {
  own: SessionCredentials;
  /** Of what is nobody's own, by prefix. */
  common: Readonly<Record<"pipelines/" | "sys/runners/", SessionCredentials>>;
}

export interface UserWish {
  user: string;
  ttlSeconds: number;
  /** May also say what is done with what everybody drops: `clipscribe pipeline push`. */
  mayPush?: boolean;
}

export async function cloudCredentials(
  { json, ...wish }: UserWish & { json: boolean },
  io: Io,
): Promise<number> {
  const place = readBucketPlace(await readSettings(io));
  const { own, common } = mintUserCredentials(place, wish, new Date());
  if (json) {
    const others = Object.entries(common).map(([prefix, keys]) => [prefix, toProcessKeys(keys)]);
    const printed = { Version: 1, ...toProcessKeys(own), Prefixes: Object.fromEntries(others) };
    io.stdout(`${JSON.stringify(printed)}\n`);
    return EXIT.complete;
  }
  io.stdout(
    [
      `# ${place.bucket}, user ${wish.user}, until ${own.expiresAt.toISOString()}`,
      `R2_ENDPOINT=${place.endpoint}`,
      `R2_ACCESS_KEY_ID=${own.accessKeyId}`,
      `R2_SECRET_ACCESS_KEY=${own.secretAccessKey}`,
      `R2_SESSION_TOKEN=${own.sessionToken}`,
      "",
    ].join("\n"),
  );
  return EXIT.complete;
}

/** @throws `config` without long-lived keys, or for a name that is no user's. */
export function mintUserCredentials(
  place: BucketPlace,
  { user, ttlSeconds, mayPush = false }: UserWish,
  now: Date,
): UserCredentials {
  const { keys, accountId, bucket, endpoint } = place;
  const name = UserId.safeParse(user);
  if (!name.success) {
    throw new ClipscribeError("config", "this is no user's id", {
      details: { user },
      hint: "use a-z, 0-9 and -, not at the ends: it is part of every key",
    });
  }
  if (keys === null) {
    throw new ClipscribeError("config", "R2_ACCESS_KEY_ID and R2_SECRET_ACCESS_KEY are needed", {
      hint: "run this where the long-lived keys are: on a server, never on a laptop",
    });
  }
  const wish = { endpoint, accountId, parent: keys, bucket, ttlSeconds, now };
  const reading = { ...wish, scope: "object-read-only" } as const;
  const writing = { ...wish, scope: "object-read-write" } as const;
  return {
    own: mintSessionCredentials({ ...writing, prefixes: prefixesOf(name.data) }),
    common: {
      "pipelines/": mintSessionCredentials({
        ...(mayPush ? writing : reading),
        prefixes: ["pipelines/"],
      }),
      // That a runner lives, and not what it works on.
      "sys/runners/": mintSessionCredentials({
        ...reading,
        actions: ["ListObjectsV2"],
        prefixes: ["sys/runners/"],
      }),
    },
  };
}

/** The form that AWS's tools call `credential_process`: others can call this command as well. */
function toProcessKeys(keys: SessionCredentials): Record<string, string> {
  return {
    AccessKeyId: keys.accessKeyId,
    SecretAccessKey: keys.secretAccessKey,
    SessionToken: keys.sessionToken,
    Expiration: keys.expiresAt.toISOString(),
  };
}
