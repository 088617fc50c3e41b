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
import type { SessionCredentials, SessionWish } from "../../core/session-credentials.ts";
import type { Io } from "../io.ts";
import { readSettings } from "../settings.ts";
import { readBucketPlace } from "./cloud-settings.ts";
import type { BucketPlace } from "./cloud-settings.ts";

/**
 * What an agent has of the rooms that are nobody's: it reads pipelines, which others push, and sees
 * whether a runner lives, but not what that works on.
 */
const COMMON_PREFIXES = {
  "pipelines/": undefined,
  "sys/runners/": ["ListObjectsV2"],
} as const;

export interface UserCredentials {
  own: SessionCredentials;
  /** By prefix. */
  common: Readonly<Record<keyof typeof COMMON_PREFIXES, SessionCredentials>>;
}

export async function cloudCredentials(
  { user, ttlSeconds, json }: { user: string; ttlSeconds: number; json: boolean },
  io: Io,
): Promise<number> {
  const place = readBucketPlace(await readSettings(io));
  const { own, common } = mintUserCredentials(place, user, ttlSeconds, new Date());
  if (json) {
    const others = Object.entries(common).map(([prefix, keys]) => [prefix, toProcessKeys(keys)]);
    const printed = { Version: 1, ...toProcessKeys(own), Prefixes: Object.fromEntries(others) };
    io.stdout(`${JSON.stringify(printed)}\n`);
    return EXIT.complete;
  }
  io.stdout(
    [
      `# ${place.bucket}, user ${user}, until ${own.expiresAt.toISOString()}`,
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
  user: string,
  ttlSeconds: number,
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
  return {
    own: mintSessionCredentials({
      ...wish,
      scope: "object-read-write",
      prefixes: prefixesOf(name.data),
    }),
    common: {
      "pipelines/": mintCommon(wish, "pipelines/"),
      "sys/runners/": mintCommon(wish, "sys/runners/"),
    },
  };
}

function mintCommon(
  wish: Omit<SessionWish, "scope" | "prefixes">,
  prefix: keyof typeof COMMON_PREFIXES,
): SessionCredentials {
  const actions = COMMON_PREFIXES[prefix];
  return mintSessionCredentials({
    ...wish,
    scope: "object-read-only",
    prefixes: [prefix],
    ...(actions !== undefined && { actions }),
  });
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
