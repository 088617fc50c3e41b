/** The account and, where its keys are set, the bucket: what all `cloud` verbs begin with. */
import { openCloudflareAccount } from "../../adapters/cloudflare-account/cloudflare-account.ts";
import type { CloudflareAccount } from "../../adapters/cloudflare-account/cloudflare-account.ts";
import type { R2Place } from "../../adapters/r2/r2-store.ts";
import type { StaticKeys } from "../../adapters/r2/renewing-keys.ts";
import { systemClock } from "../../adapters/system/system-clock.ts";
import { wantedAccount } from "../../core/account-wanted.ts";
import type { WantedAccount } from "../../core/account-wanted.ts";
import type { Retention } from "../../core/retention.ts";
import { retrying } from "../../ports/retrying.ts";
import type { ObjectStore } from "../../ports/object-store.ts";
import { readAcceptedDrops } from "../accepted-drops.ts";
import type { Io } from "../io.ts";
import { readSettings } from "../settings.ts";
import type { Settings } from "../settings.ts";
import type { ApplyOptions } from "./apply-account.ts";
import { readCloudSettings } from "./cloud-settings.ts";
import type { CloudSettings } from "./cloud-settings.ts";
import { findForeignKey } from "./find-foreign-key.ts";

const TRIES = { attempts: 4, baseMs: 250, maxMs: 4_000 };

export interface Cloud extends CloudSettings, AsyncDisposable {
  settings: Settings;
  wanted: WantedAccount;
  account: CloudflareAccount;
  /** Whose word it is which endings bare drops have. */
  acceptedBy: string;
  retention: Retention;
  /** Null where no keys of the bucket are set. */
  store: ObjectStore | null;
  /** What `readAccount` and `applyAccount` want. */
  applying: ApplyOptions;
}

/** Loaded here: who has no keys yet does not wait for the SDK. */
export async function openBucket(where: Pick<R2Place, "endpoint" | "bucket"> & StaticKeys) {
  const { openR2Store } = await import("../../adapters/r2/r2-store.ts");
  return openR2Store({ ...where, minWriteIntervalMs: 0, etags: "md5" });
}

export async function openCloud(io: Io): Promise<Cloud> {
  const settings = await readSettings(io);
  const cloud = readCloudSettings(settings);
  const { keys, bucket, endpoint } = cloud;
  const raw = keys === null ? null : await openBucket({ endpoint, bucket, ...keys });
  try {
    const tries = { ...TRIES, clock: systemClock, random: Math.random };
    const store = raw && retrying<ObjectStore>(raw, tries);
    const drops = await readAcceptedDrops(io, store);
    const wanted = wantedAccount({ ...cloud, accept: drops.accept, retention: drops.retention });
    const account = openCloudflareAccount(cloud.api, wanted);
    const findForeign: ApplyOptions["findForeign"] = async (found) =>
      store === null || found.bucket === null
        ? undefined
        : findForeignKey(store, wanted, found.bucket);
    return {
      ...cloud,
      settings,
      store,
      wanted,
      account,
      acceptedBy: drops.by,
      retention: drops.retention,
      applying: { account, wanted, findForeign },
      async [Symbol.asyncDispose]() {
        raw?.[Symbol.dispose]();
      },
    };
  } catch (error) {
    raw?.[Symbol.dispose]();
    throw error;
  }
}
