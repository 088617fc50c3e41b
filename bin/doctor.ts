/** `clipscribe doctor`: each tool, its version and age, and what is missing for what. */
import { execFile } from "node:child_process";
import { accessSync, constants, existsSync, statfsSync } from "node:fs";
import { dirname } from "node:path";
import { promisify } from "node:util";

import { findProgram } from "../adapters/ffmpeg/media-tools.ts";
import { describeSandbox, detectSandbox } from "../adapters/sandbox/detect-sandbox.ts";
import { ageOfVersion, updateHint } from "../adapters/yt-dlp/yt-dlp-version.ts";
import { EXIT } from "../core/exit-codes.ts";
import { findModel, retirementWarning } from "../core/models.ts";
import type { ModelKind } from "../core/models.ts";
import { safeLine } from "../core/safe-text.ts";
import type { Io } from "./io.ts";
import { openProviders } from "./providers.ts";
import { readSettings } from "./settings.ts";
import type { Settings } from "./settings.ts";
import { hangText } from "./ui/wrap-text.ts";

const runFile = promisify(execFile);
const TIMEOUT_MS = 10_000;
const LOW_DISK_BYTES = 2 * 1024 ** 3;

interface Finding {
  name: string;
  state: "good" | "old" | "missing" | "problem";
  version: string | null;
  needed_for: string;
  say: string;
}

interface Tool {
  name: string;
  args: string[];
  version: RegExp;
  neededFor: string;
  apt: string;
  brew: string;
}

const TOOLS: readonly Tool[] = [
  {
    name: "ffmpeg",
    args: ["-version"],
    version: /version (\S+)/,
    neededFor: "every run",
    apt: "ffmpeg",
    brew: "ffmpeg",
  },
  {
    name: "ffprobe",
    args: ["-version"],
    version: /version (\S+)/,
    neededFor: "every run",
    apt: "ffmpeg",
    brew: "ffmpeg",
  },
  {
    name: "yt-dlp",
    args: ["--version"],
    version: /(\S+)/,
    neededFor: "lists of URLs",
    apt: "yt-dlp",
    brew: "yt-dlp",
  },
  {
    name: "rclone",
    args: ["version"],
    version: /v(\S+)/,
    neededFor: "seeing the bucket",
    apt: "rclone",
    brew: "rclone",
  },
];

export async function doctor({ json }: { json: boolean }, io: Io): Promise<number> {
  const settings = await readSettings(io);
  const findings = [
    ...(await Promise.all(TOOLS.map((tool) => findTool(tool, io)))),
    nodeFinding(),
    sandboxFinding(io),
    homeFinding("home", settings.home),
    homeFinding("results", settings.results),
    ...modelFindings(settings, new Date()),
  ];
  const isReady = findings.every(
    ({ state, needed_for }) => needed_for !== "every run" || state !== "missing",
  );
  const hasHome = findings.every(({ state }) => state !== "problem");
  if (json) io.stdout(`${JSON.stringify({ schema: 1, ready: isReady && hasHome, findings })}\n`);
  else {
    for (const { name, state, version, needed_for, say } of findings) {
      const mark = `${name.padEnd(9)} ${state.padEnd(8)} ${(version ?? "").padEnd(18)} `;
      io.stdout(hangText(mark, `${needed_for}${say === "" ? "" : ` — ${say}`}`, io));
    }
  }
  return isReady && hasHome ? EXIT.complete : EXIT.usage;
}

async function findTool(tool: Tool, io: Io): Promise<Finding> {
  const about = { name: tool.name, needed_for: tool.neededFor };
  const program = findProgram(tool.name, io.env["PATH"] ?? "");
  if (program === undefined) {
    const line =
      io.platform === "darwin" ? `brew install ${tool.brew}` : `sudo apt-get install ${tool.apt}`;
    return { ...about, state: "missing", version: null, say: `install it: ${line}` };
  }
  try {
    const { stdout } = await runFile(program, tool.args, { timeout: TIMEOUT_MS });
    const version = safeLine(tool.version.exec(stdout)?.[1] ?? "unknown", 40);
    return {
      ...about,
      version,
      ...(tool.name === "yt-dlp" ? ageOf(version, io) : { state: "good", say: "" }),
    };
  } catch {
    return { ...about, state: "problem", version: null, say: "it does not start" };
  }
}

function ageOf(version: string, io: Io): Pick<Finding, "state" | "say"> {
  const age = ageOfVersion(version, new Date());
  if (age === undefined) return { state: "good", say: "" };
  const { days, isOld, hasKnownHoles } = age;
  const holes = hasKnownHoles ? ", with known holes: not let out to the web" : "";
  const update = isOld || hasKnownHoles ? `${holes}; ${updateHint(io.platform)}` : "";
  return { state: update === "" ? "good" : "old", say: `${days} days old${update}` };
}

/** Models that would be asked here and end soon, or have ended. */
function modelFindings(settings: Settings, now: Date): Finding[] {
  const { transcribers, chats } = openProviders(settings);
  const kinds: [ModelKind, { provider: string; model: string } | undefined][] = [
    ["transcriber", transcribers[0]],
    ["chat", chats[0]],
  ];
  return kinds.flatMap(([kind, chosen]) => {
    const spec = chosen && findModel(kind, chosen.provider, chosen.model);
    if (chosen === undefined || spec === undefined) return [];
    const warning = retirementWarning(spec, now);
    const state = warning === undefined ? ("good" as const) : ("old" as const);
    const say = warning === undefined ? "" : `${warning}; name another: \`clipscribe models\``;
    const version = chosen.model;
    return [
      {
        name: kind === "chat" ? "chat" : "speech",
        state,
        version,
        needed_for: `${kind} by ${chosen.provider}`,
        say,
      },
    ];
  });
}

function nodeFinding(): Finding {
  return {
    name: "node",
    state: "good",
    version: process.versions.node,
    needed_for: "every run",
    say: "",
  };
}

function sandboxFinding(io: Io): Finding {
  const kind = detectSandbox({ platform: io.platform });
  const isFull = kind === "bubblewrap" || kind === "sandbox-exec";
  const state = isFull ? "good" : "old";
  return {
    name: "sandbox",
    state,
    version: kind,
    needed_for: "hostile media",
    say: describeSandbox(kind),
  };
}

function homeFinding(name: string, path: string): Finding {
  const about = { name, version: null, needed_for: path };
  let folder = path;
  while (!existsSync(folder) && dirname(folder) !== folder) folder = dirname(folder);
  try {
    accessSync(folder, constants.W_OK);
  } catch {
    return {
      ...about,
      state: "problem",
      say: "can't be written: change its owner, or choose another folder",
    };
  }
  const { bavail, bsize } = statfsSync(folder);
  const free = bavail * bsize;
  const gigabytes = `${(free / 1024 ** 3).toFixed(0)} GiB free`;
  return free < LOW_DISK_BYTES
    ? { ...about, state: "old", say: `${gigabytes}: make room` }
    : { ...about, state: "good", say: gigabytes };
}
