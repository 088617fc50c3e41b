/**
 * A small home of its own for campaigns and benchmarks: a pipeline of trivial stages, run through the
 * same `run` verb as a person's. Prints nothing; a child process can be killed at any operation.
 */
import { spawn } from "node:child_process";
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";

import { sha256Of } from "../core/digest.ts";

export const ROOT = join(import.meta.dirname, "..");

export interface CampaignHome {
  dir: string;
  /** Folder of inputs. */
  inbox: string;
  home: string;
  results: string;
  pipeline: string;
  remove(): void;
}

const STAGE = (n: number, withFile: boolean): string => `
import { appendFileSync } from "node:fs";
import { z } from "zod";
import { defineStage, file, json } from "../core/stage.ts";
const Value = z.object({ text: z.string() });
export default defineStage({
  input: ${n === 1 ? '{ source: file({ mediaType: "*/*" }) }' : `{ step${n - 1}: json(Value) }`},
  output: { step${n}: json(Value, { fileName: "step${n}.json" })${withFile ? ', big: file({ mediaType: "text/plain", fileName: "big.txt" })' : ""} },
  params: z.strictObject({ trace: z.string().default(""), sleep_ms: z.number().default(0), spin_ms: z.number().default(0) }),
  async run({ input, params, ctx }) {
    const text = ${n === 1 ? "input.source.sha256" : `input.step${n - 1}.text`} + "/${n}";
    if (params.trace !== "") appendFileSync(params.trace, "begin ${n} " + text.slice(0, 12) + "\\n");
    if (params.sleep_ms > 0) await new Promise((resolve) => setTimeout(resolve, params.sleep_ms));
    ${withFile ? 'const big = await ctx.write("big.txt", text.repeat(1000));' : ""}
    return { step${n}: { text }${withFile ? ", big" : ""} };
  },
});
`;

export interface HomeOptions {
  stages: number;
  items: number;
  trace?: boolean;
  sleepMs?: number;
  /** The third stage makes a file of 70 KB, too. */
  withFile?: boolean;
  /** What every stage makes is published (the default), or the last one's alone. */
  publishes?: "all" | "last";
}

export function makeHome({
  stages,
  items,
  trace = false,
  sleepMs = 0,
  withFile = true,
  publishes = "all",
}: HomeOptions): CampaignHome {
  const dir = mkdtempSync(join(tmpdir(), "clipscribe-campaign-"));
  const inbox = join(dir, "inbox");
  mkdirSync(join(dir, "stages"));
  mkdirSync(join(dir, "core"));
  mkdirSync(inbox);
  for (const name of readdirSync(join(ROOT, "core"))) {
    if (!name.endsWith(".test.ts"))
      writeFileSync(join(dir, "core", name), readFileSync(join(ROOT, "core", name)));
  }
  const list = Array.from({ length: stages }, (_, at) => at + 1);
  const fileAt = withFile ? 3 : Infinity;
  for (const n of list) {
    writeFileSync(join(dir, "stages", `step${n}.ts`), STAGE(n, n === fileAt));
  }
  const traceFile = join(dir, "trace");
  const params = `{ trace: "${trace ? traceFile : ""}", sleep_ms: ${sleepMs} }`;
  const pipeline = join(dir, "pipeline.yaml");
  const published = publishes === "all" ? list : list.slice(-1);
  writeFileSync(
    pipeline,
    [
      "pipeline: campaign",
      "accept: [txt9]",
      "stages:",
      ...list.map((n) => `  - { id: step${n}, uses: stages/step${n}.ts, with: ${params} }`),
      `publish: [${published.map((n) => `step${n}.json`).join(", ")}${stages >= fileAt ? ", big.txt" : ""}]`,
      "",
    ].join("\n"),
  );
  for (let at = 0; at < items; at++) writeFileSync(join(inbox, `item-${at}.txt9`), `content ${at}`);
  return {
    dir,
    inbox,
    home: join(dir, "home"),
    results: join(dir, "home", "results"),
    pipeline,
    remove: () => rmSync(dir, { recursive: true, force: true }),
  };
}

/** Stages that began, as `n` and the start of what they worked on; one line each time. */
export function readTrace({ dir }: CampaignHome): string[] {
  try {
    return readFileSync(join(dir, "trace"), "utf8").split("\n").filter(Boolean);
  } catch {
    return [];
  }
}

export interface ChildEnd {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

/** Runs `run` in a process of its own; `plan` is read by campaign-child.ts. */
export function runChild(
  home: CampaignHome,
  plan: object = {},
  timeoutMs = 60_000,
): Promise<ChildEnd> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [join(import.meta.dirname, "campaign-child.ts")], {
      cwd: home.dir,
      env: {
        PATH: process.env["PATH"],
        HOME: home.dir,
        CLIPSCRIBE_HOME: home.home,
        CLIPSCRIBE_SWEEP_MS: "300",
        CLIPSCRIBE_LEASE_MS: "2000",
        CAMPAIGN_PLAN: JSON.stringify({ inbox: home.inbox, pipeline: home.pipeline, ...plan }),
      },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let stdout = "";
    let stderr = "";
    child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
    const timer = setTimeout(() => child.kill("SIGKILL"), timeoutMs);
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      resolve({ code, signal, stdout, stderr });
    });
  });
}

/** Published files and their hashes, without what may differ between equal runs. */
export function readPublished(results: string): Record<string, string> {
  const files: Record<string, string> = {};
  const visit = (folder: string): void => {
    // A job's own files say when it was finished: they differ from run to run.
    const isJob = dirname(folder) === results;
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) visit(path);
      else if (isJob) continue;
      else if (entry.name !== "manifest.json")
        files[relative(results, path)] = sha256Of(readFileSync(path));
    }
  };
  if (statSync(results, { throwIfNoEntry: false }) !== undefined) visit(results);
  return files;
}

/** What must hold of a results folder at any instant: each item whole, or not there. */
export function findHalfMade(results: string): string[] {
  const problems: string[] = [];
  if (statSync(results, { throwIfNoEntry: false }) === undefined) return problems;
  for (const job of readdirSync(results)) {
    const entries = readdirSync(join(results, job), { withFileTypes: true });
    for (const { name: item } of entries.filter((entry) => entry.isDirectory())) {
      if (item.startsWith(".")) continue;
      const folder = join(results, job, item);
      try {
        const manifest = JSON.parse(readFileSync(join(folder, "manifest.json"), "utf8")) as {
          files: { path: string; sha256: string }[];
        };
        for (const { path, sha256 } of manifest.files) {
          if (sha256Of(readFileSync(join(folder, path))) !== sha256)
            problems.push(`${item}/${path} is not what its manifest says`);
        }
      } catch (error) {
        problems.push(`${item}: ${(error as Error).message}`);
      }
    }
  }
  return problems;
}
