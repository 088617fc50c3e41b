/** A home of its own, providers on loopback, and the real command line: for tests of whole runs. */
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";

import { startProviderServer } from "../stand-ins/provider-server.ts";
import type { ProviderServer, Received, Reply } from "../stand-ins/provider-server.ts";

const ROOT = join(import.meta.dirname, "..");

/** What `run --json` and `approve --json` end with. */
export interface End {
  job_id: string;
  status: string;
  items: {
    item_id: string;
    status: string;
    path: string;
    cost_usd: number;
    stages: { id: string; state: string; why: string }[];
    error: { kind: string; message: string; hint: string } | null;
  }[];
}

export interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
  /** The last line of stdout, where it is JSON. */
  end: End;
}

export interface TestWorld {
  /** Also the home of whoever runs it, and the working folder. */
  dir: string;
  server: ProviderServer;
  /** Runs the command line; a variable set to "" is as good as unset. */
  clipscribe(args: readonly string[], env?: Record<string, string>): Promise<Ended>;
  /** Six seconds of a tone, in which stand-ins hear what they like. */
  tone(name?: string, frequency?: number): string;
  /** Requests whose path ends so. */
  asked(path: string): number;
}

export async function openTestWorld(
  t: TestContext,
  answer: (request: Received, index: number) => Reply | Promise<Reply>,
): Promise<TestWorld> {
  const dir = mkdtempSync(join(tmpdir(), "clipscribe-test-"));
  const server = await startProviderServer(answer);
  t.after(async () => {
    await server[Symbol.asyncDispose]();
    rmSync(dir, { recursive: true, force: true });
  });
  return {
    dir,
    server,
    async clipscribe(args, env = {}) {
      const child = spawn(process.execPath, [join(ROOT, "bin", "clipscribe.ts"), ...args], {
        cwd: dir,
        env: {
          PATH: process.env["PATH"],
          HOME: dir,
          CLIPSCRIBE_HOME: join(dir, "home"),
          MISTRAL_API_KEY: "m",
          MISTRAL_BASE_URL: server.url,
          XAI_API_KEY: "x",
          XAI_BASE_URL: server.url,
          ...env,
        },
        stdio: ["ignore", "pipe", "pipe"],
      });
      let stdout = "";
      let stderr = "";
      child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
      child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
      const code = await new Promise<number | null>((resolve) => child.on("close", resolve));
      return { code, stdout, stderr, end: lastJson(stdout) };
    },
    tone(name = "talk.m4a", frequency = 300) {
      const path = join(dir, name);
      const tone = ["-f", "lavfi", "-i", `sine=frequency=${frequency}:duration=6`];
      execFileSync("ffmpeg", ["-v", "error", ...tone, "-c:a", "aac", `file:${path}`]);
      return path;
    },
    asked: (path) => server.received.filter((each) => each.path.endsWith(path)).length,
  };
}

function lastJson(stdout: string): End {
  try {
    return JSON.parse(stdout.trim().split("\n").at(-1) ?? "") as End;
  } catch {
    return { job_id: "", status: "", items: [] };
  }
}

/** A chat model's answer over the wire, billed by its length. */
export function chatReply(
  findings: unknown,
  { promptTokens = 300, outputTokens = 20 } = {},
): Reply {
  const content = typeof findings === "string" ? findings : JSON.stringify(findings);
  const usage = { prompt_tokens: promptTokens, completion_tokens: outputTokens };
  return { body: { choices: [{ message: { content }, finish_reason: "stop" }], usage } };
}

/** Mistral's answer: segments of a quarter of a second each. */
export function heardReply(texts: readonly string[], seconds = 6, language = "en"): Reply {
  const each = Math.min(1, seconds / Math.max(1, texts.length));
  const segments = texts.map((text, at) => ({ text, start: at * each, end: (at + 0.9) * each }));
  return { body: { language, segments, usage: { prompt_audio_seconds: seconds } } };
}
