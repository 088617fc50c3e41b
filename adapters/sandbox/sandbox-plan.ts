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
  /** `none`, or a proxy outside that is all it gets of a network: the downloader's. */
  network: "none" | Gate;
  caps: Caps;
}

/** The same proxy twice; the child is told `http://127.0.0.1:{port}`. */
export interface Gate {
  port: number;
  /** Absolute path of a Unix socket. */
  socket: string;
  /** Absolute path of Node, which brings the port into a network namespace of its own. */
  node: string;
}

export interface CommandLine {
  program: string;
  args: string[];
}

/** Folders of the system that a dynamically linked program needs. */
const SYSTEM_FOLDERS = ["/usr", "/bin", "/sbin", "/lib", "/lib64", "/lib32", "/nix/store", "/opt"];
const SYSTEM_FILES = ["/etc/ld.so.cache", "/etc/alternatives", "/etc/localtime"];
/** Certificates, for the downloader only. Names are resolved by the proxy. */
const NETWORK_FILES = ["/etc/ssl", "/etc/ca-certificates", "/etc/pki"];

/** Runs in the child's own network: listens on the gate's port, and hands every byte to its socket. */
const RELAY = `
const { createServer, connect } = require("node:net");
const { spawn } = require("node:child_process");
const { argv, exit, kill, pid } = process;
const [socket, port, program, ...args] = argv.slice(1);
const server = createServer((client) => {
  const outside = connect(socket);
  for (const [one, other] of [[client, outside], [outside, client]]) {
    one.on("error", () => other.destroy());
    one.pipe(other);
  }
});
server.listen(Number(port), "127.0.0.1", () => {
  const child = spawn(program, args, { stdio: "inherit" });
  child.on("error", () => exit(127));
  child.on("close", (code, signal) => {
    if (signal === null) exit(code);
    kill(pid, signal);
  });
});`;

export function planSandbox(kind: SandboxKind, confinement: Confinement): CommandLine {
  const limited = withCaps(confinement);
  switch (kind) {
    case "bubblewrap": {
      const inside = [...relayTo(confinement.network), ...limited];
      return { program: "bwrap", args: [...bubblewrapOptions(confinement), "--", ...inside] };
    }
    case "sandbox-exec":
      return {
        program: "/usr/bin/sandbox-exec",
        args: ["-p", sandboxProfile(confinement), ...limited],
      };
    case "namespaces": {
      // Its loopback would be down: the gate is what the child is told, and no more.
      const isolated = confinement.network === "none" ? ["--net"] : [];
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

/** Memory is bounded behind it: Node reserves more than it uses. */
function relayTo(network: "none" | Gate): string[] {
  if (network === "none") return [];
  return [network.node, "-e", RELAY, "--", network.socket, `${network.port}`];
}

function bubblewrapOptions({ readable, writableDir, network }: Confinement): string[] {
  const readOnly = (path: string): string[] => ["--ro-bind-try", path, path];
  const gate = network === "none" ? [] : [...NETWORK_FILES, network.node, network.socket];
  return [
    "--unshare-all",
    "--die-with-parent",
    "--new-session",
    "--cap-drop",
    "ALL",
    ...[...SYSTEM_FOLDERS, ...SYSTEM_FILES].flatMap(readOnly),
    "--proc",
    "/proc",
    "--dev",
    "/dev",
    "--tmpfs",
    "/tmp",
    ...gate.flatMap(readOnly),
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
    "(deny network*)",
    ...(network === "none"
      ? []
      : [`(allow network-outbound (remote ip "localhost:${network.port}"))`]),
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
