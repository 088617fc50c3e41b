/**
 * How a child is locked in, decided purely: the command line for each kind of sandbox. The media
 * tools read hostile files, so they get no network, no home folder, and a bound on everything.
 */

/**
 * `bubblewrap`: own namespaces, only the named files visible. `sandbox-exec`: macOS's profile.
 * `namespaces`: no network by util-linux's unshare, files as usual. `caps`: bounds alone.
 */
export type SandboxKind = "bubblewrap" | "sandbox-exec" | "namespaces" | "caps";

export interface Caps {
  /** Address space; macOS ignores it. */
  memoryBytes: number;
  cpuSeconds: number;
  /** Largest file that it may write. */
  fileBytes: number;
}

export interface Confinement {
  /** Absolute path of the program. */
  program: string;
  args: readonly string[];
  /** Absolute paths of files or folders that it may read, besides the system's own. */
  readable: readonly string[];
  /** The one folder that it may write; its working folder. */
  writableDir: string;
  /** True only for the downloader. */
  network: boolean;
  caps: Caps;
}

export interface CommandLine {
  program: string;
  args: string[];
}

/** Folders of the system that a dynamically linked program needs. */
const SYSTEM_FOLDERS = ["/usr", "/bin", "/sbin", "/lib", "/lib64", "/lib32", "/nix/store", "/opt"];
const SYSTEM_FILES = ["/etc/ld.so.cache", "/etc/alternatives", "/etc/localtime"];
/** Name resolution and certificates, for the downloader only. */
const NETWORK_FILES = [
  "/etc/resolv.conf",
  "/etc/hosts",
  "/etc/nsswitch.conf",
  "/etc/ssl",
  "/etc/ca-certificates",
  "/etc/pki",
];

export function planSandbox(kind: SandboxKind, confinement: Confinement): CommandLine {
  const limited = withCaps(confinement);
  switch (kind) {
    case "bubblewrap":
      return { program: "bwrap", args: [...bubblewrapOptions(confinement), "--", ...limited] };
    case "sandbox-exec":
      return {
        program: "/usr/bin/sandbox-exec",
        args: ["-p", sandboxProfile(confinement), ...limited],
      };
    case "namespaces": {
      const isolated = confinement.network ? [] : ["--net"];
      return {
        program: "unshare",
        args: ["--user", "--map-root-user", ...isolated, "--", ...limited],
      };
    }
    case "caps":
      return { program: limited[0] ?? "", args: limited.slice(1) };
  }
}

/** POSIX sh sets the bounds and becomes the program: nothing is quoted, so nothing is injected. */
function withCaps({ program, args, caps }: Confinement): string[] {
  const script =
    'ulimit -c 0; ulimit -v "$1" 2>/dev/null; ulimit -t "$2"; ulimit -f "$3"; shift 3; exec "$@"';
  const kibibytes = Math.ceil(caps.memoryBytes / 1024);
  // `ulimit -f` counts blocks of 512 bytes.
  const blocks = Math.ceil(caps.fileBytes / 512);
  return [
    "/bin/sh",
    "-c",
    script,
    "sh",
    `${kibibytes}`,
    `${caps.cpuSeconds}`,
    `${blocks}`,
    program,
    ...args,
  ];
}

function bubblewrapOptions({ readable, writableDir, network }: Confinement): string[] {
  const readOnly = (path: string): string[] => ["--ro-bind-try", path, path];
  return [
    "--unshare-all",
    ...(network ? ["--share-net"] : []),
    "--die-with-parent",
    "--new-session",
    "--cap-drop",
    "ALL",
    ...[...SYSTEM_FOLDERS, ...SYSTEM_FILES].flatMap(readOnly),
    ...(network ? NETWORK_FILES.flatMap(readOnly) : []),
    "--proc",
    "/proc",
    "--dev",
    "/dev",
    "--tmpfs",
    "/tmp",
    ...readable.flatMap((path) => ["--ro-bind", path, path]),
    "--bind",
    writableDir,
    writableDir,
    "--chdir",
    writableDir,
  ];
}

/** macOS: later rules win. https://reverse.put.as/wp-content/uploads/2011/09/Apple-Sandbox-Guide-v1.0.pdf */
function sandboxProfile({ readable, writableDir, network }: Confinement): string {
  const homes = ["/Users", "/private/var/root", "/Volumes"];
  return [
    "(version 1)",
    "(allow default)",
    ...(network ? [] : ["(deny network*)"]),
    "(deny file-write*)",
    ...homes.map((path) => `(deny file-read* (subpath ${quote(path)}))`),
    ...readable.map((path) => `(allow file-read* (subpath ${quote(path)}))`),
    `(allow file-read* file-write* (subpath ${quote(writableDir)}))`,
    '(allow file-write* (literal "/dev/null"))',
  ].join("");
}

function quote(path: string): string {
  return `"${path.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
}
