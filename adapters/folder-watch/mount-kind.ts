/**
 * Whether a folder lies on a file system that another machine changes, of which no event tells
 * (inotify is blind on NFS and SMB). The differences of the platforms are here.
 */
import { execFile } from "node:child_process";
import { statfs } from "node:fs/promises";
import { promisify } from "node:util";

const MOUNT_TIMEOUT_MS = 5_000;

/** `f_type` of Linux: statfs(2), include/uapi/linux/magic.h and the file systems' own headers. */
const NETWORK_MAGIC: Record<number, string> = {
  0x6969: "NFS",
  0x517b: "SMB",
  0xff534d42: "CIFS",
  0xfe534d42: "SMB",
  0x01021997: "9P",
  0x5346414f: "AFS",
  0x00c36400: "Ceph",
  0x564c: "NCP",
  0x73757245: "Coda",
  0x65735546: "FUSE",
  0xbacbacbc: "VMware's shared folders",
  0x786f4256: "VirtualBox's shared folders",
  0x0bd00bd0: "Lustre",
  0x47504653: "GPFS",
};
/** As `mount` of macOS calls them. */
const NETWORK_NAMES = ["smbfs", "nfs", "afpfs", "webdav", "ftp", "macfuse", "osxfuse", "fuse"];

export interface MountProbes {
  platform: NodeJS.Platform;
  /** `statfs(2)`'s type. */
  typeOf: (folder: string) => Promise<number>;
  /** What `mount` prints. */
  listMounts: () => Promise<string>;
}

export function systemMountProbes(platform: NodeJS.Platform): MountProbes {
  return {
    platform,
    typeOf: async (folder) => (await statfs(folder)).type >>> 0,
    listMounts: async () => {
      const { stdout } = await promisify(execFile)("/sbin/mount", [], {
        timeout: MOUNT_TIMEOUT_MS,
        env: { PATH: "/usr/bin:/bin:/sbin" },
      });
      return stdout;
    },
  };
}

/** The network file system's name; null for a local one, and where nothing tells. */
export async function networkFileSystemOf(
  folder: string,
  { platform, typeOf, listMounts }: MountProbes,
): Promise<string | null> {
  try {
    if (platform !== "darwin") return NETWORK_MAGIC[await typeOf(folder)] ?? null;
    return networkMountIn(await listMounts(), folder);
  } catch {
    return null;
  }
}

/** `//me@nas/media on /Volumes/media (smbfs, nodev, …)`: the mount with the longest fitting path. */
function networkMountIn(mounts: string, folder: string): string | null {
  let longest = -1;
  let kind = "";
  for (const [, point = "", name = ""] of mounts.matchAll(/ on (\/.*) \(([a-z0-9]+)/gi)) {
    const isInside = folder === point || folder.startsWith(point === "/" ? "/" : `${point}/`);
    if (!isInside || point.length <= longest) continue;
    longest = point.length;
    kind = name.toLowerCase();
  }
  return NETWORK_NAMES.includes(kind) ? kind : null;
}
