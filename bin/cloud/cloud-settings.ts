/** What the settings say of the account, checked against each other before anybody is asked. */
import type { AccountApiOptions } from "../../adapters/cloudflare-account/account-request.ts";
import { ClipscribeError } from "../../core/errors.ts";
import { isAccountId, parseR2Endpoint, r2Endpoint } from "../../core/r2-endpoint.ts";
import type { Jurisdiction } from "../../core/r2-endpoint.ts";
import type { Settings } from "../settings.ts";

export interface BucketKeys {
  accessKeyId: string;
  secretAccessKey: string;
}

/** Where the bucket is, and the long-lived keys to its objects. */
export interface BucketPlace {
  accountId: string;
  bucket: string;
  jurisdiction: Jurisdiction;
  endpoint: string;
  /** Of a token that may read and write the bucket's objects; null: not set. */
  keys: BucketKeys | null;
}

export interface CloudSettings extends BucketPlace {
  api: AccountApiOptions;
  /** Pages that read the bucket. */
  webOrigins: readonly string[];
}

/** @throws `config` naming what is missing, or what contradicts what. */
export function readBucketPlace(settings: Settings): BucketPlace {
  const value = (name: string): string | null => settings.all.get(name)?.value ?? null;
  if (settings.store.kind !== "r2") {
    throw new ClipscribeError("config", "the settings name no R2 bucket", {
      hint: "set CLIPSCRIBE_STORE=r2:BUCKET with the name that the bucket is to have",
    });
  }
  const accountId = value("CLOUDFLARE_ACCOUNT_ID") ?? "";
  if (!isAccountId(accountId)) {
    const what = accountId === "" ? "is not set" : "is none";
    throw new ClipscribeError("config", `CLOUDFLARE_ACCOUNT_ID ${what}`, {
      hint: "an account's id has 32 characters of 0-9 and a-f; the dashboard's address has it",
    });
  }
  const jurisdiction = value("CLOUDFLARE_JURISDICTION") as Jurisdiction;
  const endpoint = value("R2_ENDPOINT") ?? r2Endpoint({ accountId, jurisdiction });
  assertSamePlace(endpoint, accountId, jurisdiction);
  const accessKeyId = value("R2_ACCESS_KEY_ID");
  const secretAccessKey = value("R2_SECRET_ACCESS_KEY");
  return {
    accountId,
    bucket: settings.store.bucket,
    jurisdiction,
    endpoint,
    keys:
      accessKeyId === null || secretAccessKey === null ? null : { accessKeyId, secretAccessKey },
  };
}

/** @throws `config`, as above. */
export function readCloudSettings(settings: Settings): CloudSettings {
  const value = (name: string): string | null => settings.all.get(name)?.value ?? null;
  const place = readBucketPlace(settings);
  const apiToken = value("CLOUDFLARE_API_TOKEN");
  if (apiToken === null) {
    throw new ClipscribeError("config", "CLOUDFLARE_API_TOKEN is not set", {
      hint: "make a token in the dashboard under Manage account, API tokens, with Workers R2 Storage: Edit and Queues: Edit",
    });
  }
  const baseUrl = value("CLOUDFLARE_API_BASE_URL") ?? "";
  const webOrigins = (value("CLIPSCRIBE_WEB_ORIGINS") ?? "").split(",").filter(Boolean);
  return { ...place, api: { baseUrl, apiToken }, webOrigins };
}

/** An endpoint of R2 says both, and has to say the same. */
function assertSamePlace(endpoint: string, accountId: string, jurisdiction: Jurisdiction): void {
  const place = parseR2Endpoint(endpoint);
  if (place === undefined) return;
  if (place.accountId !== accountId) {
    throw new ClipscribeError("config", "R2_ENDPOINT is of another account", {
      details: { endpoint: place.accountId, CLOUDFLARE_ACCOUNT_ID: accountId },
      hint: "correct one of them; without R2_ENDPOINT it is made of the account's id",
    });
  }
  if (place.jurisdiction !== jurisdiction) {
    throw new ClipscribeError("config", "R2_ENDPOINT is of another jurisdiction", {
      details: { endpoint: place.jurisdiction, CLOUDFLARE_JURISDICTION: jurisdiction },
      hint: `set CLOUDFLARE_JURISDICTION=${place.jurisdiction}, or leave R2_ENDPOINT out`,
    });
  }
}
