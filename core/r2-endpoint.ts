/**
 * Where an account's bucket is reached, by jurisdiction. A bucket that was made in one can be
 * reached through no other's address: developers.cloudflare.com/r2/reference/data-location.
 */

export const JURISDICTIONS = ["default", "eu", "us", "fedramp"] as const;
export type Jurisdiction = (typeof JURISDICTIONS)[number];

export interface R2Address {
  accountId: string;
  jurisdiction: Jurisdiction;
}

export function isAccountId(text: string): boolean {
  return /^[0-9a-f]{32}$/.test(text);
}

export function r2Endpoint({ accountId, jurisdiction }: R2Address): string {
  const part = jurisdiction === "default" ? "" : `${jurisdiction}.`;
  return `https://${accountId}.${part}r2.cloudflarestorage.com`;
}

/** Returns undefined for an address that is not R2's: another S3, or an emulator. */
export function parseR2Endpoint(endpoint: string): R2Address | undefined {
  if (!URL.canParse(endpoint)) return undefined;
  const match = /^([0-9a-f]{32})\.(?:(eu|us|fedramp)\.)?r2\.cloudflarestorage\.com$/.exec(
    new URL(endpoint).hostname,
  );
  if (match === null) return undefined;
  const [, accountId = "", jurisdiction = "default"] = match;
  return { accountId, jurisdiction: jurisdiction as Jurisdiction };
}
