/** Whether credentials that are signed here are taken, and reach what they name and nothing else. */
import { ClipscribeError, isKind } from "../../core/errors.ts";
import { checkKeys, parseObjectKey } from "../../core/keys.ts";
import { mintSessionCredentials } from "../../core/session-credentials.ts";
import type { ObjectStore } from "../../ports/object-store.ts";
import type { Checks } from "./checks.ts";
import { openBucket } from "./open-cloud.ts";
import type { Cloud } from "./open-cloud.ts";

const TTL_S = 900;

export async function checkSession(checks: Checks, cloud: Cloud, id: string): Promise<void> {
  const { keys, endpoint, accountId, bucket, store } = cloud;
  if (keys === null || store === null) return;
  await checks.run("credentials", async () => {
    const prefix = checkKeys.bucket(id, "mine/");
    const outside = checkKeys.bucket(id, "theirs/object");
    await store.put(outside, Buffer.from("theirs"));
    const wish = { endpoint, accountId, parent: keys, bucket, ttlSeconds: TTL_S, now: new Date() };
    const own = mintSessionCredentials({ ...wish, scope: "object-read-write", prefixes: [prefix] });
    using scoped = await openBucket({ endpoint, bucket, ...own });
    const inside = parseObjectKey(`${prefix}object`);
    await scoped.put(inside, Buffer.from("mine"));
    await scoped.get(inside);
    for await (const { key } of scoped.list(prefix)) if (key !== inside) break;
    const reached = [
      ["read", async () => scoped.get(outside)],
      ["written", async () => scoped.put(outside, Buffer.from("forged"))],
      ["listed", async () => firstKey(scoped, checkKeys.bucket(id, "theirs/"))],
    ] as const;
    for (const [what, work] of reached) {
      if (await isRefused(work)) continue;
      throw new ClipscribeError("denied", `what is outside of their prefix can be ${what}`, {
        hint: "hand out no such credentials: give each user a bucket of their own",
      });
    }
    const isWholeRefused = await isRefused(async () => firstKey(scoped, ""));
    checks.facts["listing_without_prefix"] = isWholeRefused ? "refused" : "answered";
    return "credentials for one prefix are taken, and refused elsewhere";
  });
}

async function isRefused(work: () => Promise<unknown>): Promise<boolean> {
  try {
    return (await work()) === null;
  } catch (error) {
    if (isKind(error, "denied")) return true;
    throw error;
  }
}

async function firstKey(store: ObjectStore, prefix: string): Promise<string | null> {
  for await (const { key } of store.list(prefix)) return key;
  return null;
}
