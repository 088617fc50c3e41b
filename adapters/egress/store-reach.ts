/** Whether somebody outside reaches a bucket's endpoint; looked up once, when first asked. */
import type { StoreReach } from "../../core/sound-route.ts";
import { isPrivateAddress, resolveHost } from "./private-address.ts";

/** `allowPrivate`: a person said that providers reach it where it is, over http too. */
export function openStoreReach(
  endpoint: string,
  allowPrivate: boolean,
  resolve: (hostname: string) => Promise<string[]> = resolveHost,
): () => Promise<StoreReach> {
  let known: Promise<StoreReach> | undefined;
  const closed = (why: string): StoreReach => ({ open: false, why });
  async function find(): Promise<StoreReach> {
    const url = new URL(endpoint);
    if (allowPrivate) return { open: true };
    if (url.protocol !== "https:") return closed("the bucket's endpoint is not https");
    // A name that this network alone knows may have a public address, and the other way round.
    if (!/^\[|\.\d+$/.test(url.hostname) && !isPublicName(url.hostname)) {
      return closed("the bucket's endpoint has a private name");
    }
    const addresses = await resolve(url.hostname).catch(() => []);
    if (addresses.length === 0) return closed("the bucket's endpoint can't be resolved");
    return addresses.some(isPrivateAddress)
      ? closed("the bucket's endpoint has a private address")
      : { open: true };
  }
  return async () => (known ??= find());
}

/** RFC 6761, 6762, 8375, and what networks call themselves. */
function isPublicName(hostname: string): boolean {
  const top = /\.([a-z0-9-]+)\.?$/i.exec(hostname)?.[1]?.toLowerCase();
  const isOwn = ["local", "localhost", "internal", "lan", "home", "intranet", "corp", "arpa"];
  return top !== undefined && !isOwn.includes(top);
}
