/** The emulated cloud, runners as processes of their own, and a hand that submits: for tests. */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { openR2Store } from "../adapters/r2/r2-store.ts";
import { ItemId, JobId } from "../core/ids.ts";
import { keysOf } from "../core/keys.ts";
import { ItemState } from "../core/records.ts";
import { openEmulator } from "../emulator/emulator.ts";
import type { Emulator } from "../emulator/emulator.ts";
import type { ObjectStore } from "../ports/object-store.ts";
import { USER, submitTo } from "./submit-to.ts";

const ROOT = join(import.meta.dirname, "..");

export interface CommandEnd {
  code: number | null;
  stdout: string;
  stderr: string;
}

export interface RunnerStart {
  env?: Record<string, string>;
  args?: string[];
  /** It goes by what was pushed, and has no file. */
  pushed?: boolean;
}

export interface CloudWorld extends AsyncDisposable {
  dir: string;
  emulator: Emulator;
  /** Straight to the bucket, without tries. */
  store: ObjectStore;
  env: Record<string, string>;
  startRunner(name: string, more?: RunnerStart): ChildProcess;
  clipscribe(...args: string[]): Promise<CommandEnd>;
  /** The same from another home: another computer of the same person. */
  clipscribeAt(home: string, ...args: string[]): Promise<CommandEnd>;
  setFaults(faults: unknown): Promise<void>;
  /** Uploads files, and hands them over as a job's items. */
  submit(
    job: string,
    lane: string,
    pipelineDigest: string,
    files: readonly string[],
  ): Promise<void>;
  readItem(job: string, item: string): Promise<ItemState | undefined>;
}

/** `program`: what starts as `clipscribe`; default: the sources. */
export async function openCloudWorld(
  pipeline: string,
  program = join(ROOT, "bin", "clipscribe.ts"),
): Promise<CloudWorld> {
  const dir = mkdtempSync(join(tmpdir(), "clipscribe-cloud-"));
  const emulator = await openEmulator({ dir: join(dir, "cloud") });
  const { address } = emulator;
  const store = openR2Store({
    endpoint: address.s3_endpoint,
    bucket: address.bucket,
    accessKeyId: address.access_key_id,
    secretAccessKey: address.secret_access_key,
    minWriteIntervalMs: 0,
    etags: "md5",
  });
  const env: Record<string, string> = {
    PATH: process.env["PATH"] ?? "",
    HOME: dir,
    CLIPSCRIBE_STORE: `r2:${address.bucket}`,
    CLIPSCRIBE_QUEUE: "cloudflare",
    CLIPSCRIBE_USER: USER,
    R2_ENDPOINT: address.s3_endpoint,
    R2_ACCESS_KEY_ID: address.access_key_id,
    R2_SECRET_ACCESS_KEY: address.secret_access_key,
    CLOUDFLARE_ACCOUNT_ID: address.account_id,
    CLOUDFLARE_API_TOKEN: address.api_token,
    CLOUDFLARE_API_BASE_URL: address.queues_base_url,
    CLIPSCRIBE_QUEUE_URGENT: address.queue_urgent,
    CLIPSCRIBE_QUEUE_BATCH: address.queue_batch,
    CLIPSCRIBE_QUEUE_OPERATIONS_PER_DAY: "none",
    CLIPSCRIBE_POLL_MS: "500",
    CLIPSCRIBE_LEASE_MS: "4000",
    CLIPSCRIBE_SWEEP_MS: "2000",
  };
  const children = new Set<ChildProcess>();
  const launch = (args: readonly string[], home: string, more: Record<string, string> = {}) => {
    const child = spawn(process.execPath, [program, ...args], {
      cwd: dir,
      env: { ...env, CLIPSCRIBE_HOME: join(dir, home), ...more },
      stdio: ["ignore", "pipe", "pipe"],
    });
    children.add(child);
    child.once("close", () => children.delete(child));
    return child;
  };
  const runAt = async (home: string, args: readonly string[]): Promise<CommandEnd> => {
    const child = launch(args, home);
    let stdout = "";
    let stderr = "";
    child.stdout?.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr?.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
    const code = await new Promise<number | null>((resolve) => child.on("close", resolve));
    return { code, stdout, stderr };
  };

  return {
    dir,
    emulator,
    store,
    env,
    startRunner(name, { env: more = {}, args = [], pushed = false } = {}) {
      const named = pushed ? [] : ["--pipeline", pipeline];
      return launch(["runner", ...named, "--json", ...args], name, more);
    },
    clipscribe: async (...args) => runAt("laptop", args),
    clipscribeAt: async (home, ...args) => runAt(home, args),
    async setFaults(faults) {
      await fetch(address.faults_url, { method: "PUT", body: JSON.stringify(faults) });
    },
    submit: async (job, lane, digest, files) => submitTo(store, job, lane, digest, files),
    async readItem(job, item) {
      try {
        const key = keysOf(USER).item(JobId.parse(job), ItemId.parse(item));
        const { body } = await store.get(key);
        return ItemState.parse(JSON.parse(Buffer.from(body).toString("utf8")));
      } catch {
        return undefined;
      }
    },
    async [Symbol.asyncDispose]() {
      const ends = [...children].map(
        async (child) => new Promise((resolve) => child.once("close", resolve)),
      );
      for (const child of children) child.kill("SIGKILL");
      await Promise.all(ends);
      store[Symbol.dispose]();
      await emulator[Symbol.asyncDispose]();
      rmSync(dir, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}
