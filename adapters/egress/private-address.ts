/** Addresses that only this machine or its network can reach; IANA's special-purpose registries. */
import { lookup } from "node:dns/promises";
import { BlockList, isIP } from "node:net";

const PRIVATE = privateAddresses();

function privateAddresses(): BlockList {
  const list = new BlockList();
  for (const [net, bits] of [
    ["0.0.0.0", 8],
    ["10.0.0.0", 8],
    ["100.64.0.0", 10],
    ["127.0.0.0", 8],
    ["169.254.0.0", 16],
    ["172.16.0.0", 12],
    ["192.0.0.0", 24],
    ["192.168.0.0", 16],
    ["198.18.0.0", 15],
    ["224.0.0.0", 3],
  ] as const) {
    list.addSubnet(net, bits, "ipv4");
  }
  for (const [net, bits] of [
    ["::", 96],
    ["fc00::", 7],
    ["fe80::", 10],
    ["ff00::", 8],
    // They hold an IPv4 address, of any network: NAT64, 6to4, Teredo.
    ["64:ff9b::", 96],
    ["64:ff9b:1::", 48],
    ["2002::", 16],
    ["2001::", 32],
  ] as const) {
    list.addSubnet(net, bits, "ipv6");
  }
  return list;
}

/** `address`: an IP address as text. */
export function isPrivateAddress(address: string): boolean {
  const mapped = /^::(?:ffff:(?:0:)?)?(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined) return isPrivateAddress(mapped);
  const isMapped = /^::ffff:/i.test(address);
  return isMapped || PRIVATE.check(address, isIP(address) === 6 ? "ipv6" : "ipv4");
}

/** A host of a URL → its addresses; `[::1]` and `10.0.0.1` are their own. Rejects as `lookup`. */
export async function resolveHost(hostname: string): Promise<string[]> {
  const host = hostname.replaceAll(/^\[|\]$/g, "");
  if (isIP(host) > 0) return [host];
  return (await lookup(host, { all: true })).map(({ address }) => address);
}
