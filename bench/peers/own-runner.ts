/** Our runner on one machine with a stage that only says when it was entered. */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { openDiskStore } from "../../adapters/disk/disk-store.ts";
import { openSqliteQueue } from "../../adapters/sqlite/sqlite-queue.ts";
import { systemClock } from "../../adapters/system/system-clock.ts";
import { loadPipeline } from "../../bin/load-pipeline.ts";
import { notifying } from "../../ports/notifying.ts";
import type { ObjectStore } from "../../ports/object-store.ts";

const ROOT = join(import.meta.dirname, "..", "..");

export interface OwnRunner extends AsyncDisposable {
  /** Tells the queue, as an agent's store does. */
  store: ObjectStore;
  home: string;
  digest: string;
  /** Milliseconds at which the stage was entered, by the medium's text. */
  entered(): Map<string, number>;
  start(): ChildProcess;
}

export async function openOwnRunner(dir: string): Promise<OwnRunner> {
  const trace = join(dir, "trace");
  const home = join(dir, "home");
  mkdirSync(join(dir, "stages"), { recursive: true });
  mkdirSync(join(home, "store"), { recursive: true });
  cpSync(join(ROOT, "core"), join(dir, "core"), { recursive: true });
  symlinkSync(join(ROOT, "node_modules"), join(dir, "node_modules"));
  writeFileSync(
    join(dir, "stages", "only.ts"),
    `import { appendFileSync } from "node:fs";
import { z } from "zod";
import { defineStage, file } from "../core/stage.ts";
export default defineStage({
  input: { source: file({ mediaType: "*/*" }) },
  output: { out: file({ mediaType: "text/plain", fileName: "out.txt" }) },
  params: z.strictObject({}),
  async run({ input, ctx }) {
    const at = performance.timeOrigin + performance.now();
    const text = await ctx.readText(input.source);
    appendFileSync(${JSON.stringify(trace)}, text + " " + at + "\\n");
    return { out: await ctx.write("out.txt", text) };
  },
});
`,
  );
  const pipeline = join(dir, "pipeline.yaml");
  writeFileSync(
    pipeline,
    "pipeline: only\naccept: [mp4]\nstages:\n  - id: only\n    uses: stages/only.ts\npublish: [out.txt]\n",
  );
  const { digest } = (await loadPipeline(pipeline, home)).pipeline;
  const disk = openDiskStore({ root: join(home, "store") });
  const queue = openSqliteQueue({ file: join(home, "queue.db"), name: "urgent" });
  const log = { with: () => log, debug: no, info: no, warn: no, error: no };
  const rules = [{ prefix: "inbox/urgent/me/", queue }];
  /** Whatever becomes of who started them, they do not outlive the store. */
  const children: ChildProcess[] = [];
  return {
    store: notifying(disk, rules, { clock: systemClock, log }),
    home,
    digest,
    entered() {
      if (!existsSync(trace)) return new Map();
      const lines = readFileSync(trace, "utf8").trim().split("\n");
      return new Map(
        lines.map((line): [string, number] => {
          const at = line.lastIndexOf(" ");
          return [line.slice(0, at), Number(line.slice(at + 1))];
        }),
      );
    },
    start() {
      const entry = join(ROOT, "bin", "clipscribe.ts");
      const args = ["runner", "--pipeline", pipeline, "--json"];
      const child = spawn(process.execPath, [entry, ...args], {
        env: { PATH: process.env["PATH"], HOME: dir, CLIPSCRIBE_HOME: home },
        stdio: ["ignore", "pipe", "pipe"],
      });
      // Somebody has to read it: a full pipe would stop the runner.
      child.stdout.resume();
      child.stderr.resume();
      children.push(child);
      return child;
    },
    async [Symbol.asyncDispose]() {
      for (const child of children) child.kill("SIGKILL");
      await queue[Symbol.asyncDispose]();
      await disk[Symbol.asyncDispose]();
    },
  };
}

/** Resolves once that runner says that it takes tickets. */
export async function untilReady(child: ChildProcess): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    let said = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on("data", (chunk: Buffer) => {
        if (said.length < 10_000) said += chunk.toString();
        if (said.includes('"ready"')) resolve();
      });
    }
    child.once("close", (code, signal) =>
      reject(new Error(`the runner ended (${code ?? signal}): ${said.slice(-500)}`)),
    );
  });
}

function no(): void {
  // A benchmark has nothing to say meanwhile.
}
