/**
 * Event → stage entered: from the moment before a ticket (a job) is written until the work begins in
 * another process, one at a time, in turns, beside graphile-worker and BullMQ. All with fsync.
 */
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

import { submitTo } from "../samples/submit-to.ts";
import { measureEmulated } from "./emulated-latency.ts";
import { loadBullMq, loadGraphile } from "./peers/load-peer.ts";
import { openOwnRunner } from "./peers/own-runner.ts";
import { nowMs, startPeers } from "./peers/start-peers.ts";

const ROUNDS = 240;
const WARM_UP = 400;
const PAUSE_MS = 40;

const dir = mkdtempSync(join(tmpdir(), "clipscribe-latency-"));
const latencies = await measure();
const emulated = await measureEmulated(join(dir, "emulated"));
rmSync(dir, { recursive: true, force: true, maxRetries: 5 });
const own = latencies["clipscribe"] ?? { p50: Infinity, p99: Infinity };
const graphile = latencies["graphile-worker"] ?? { p50: 0, p99: 0 };
const pass = own.p50 <= graphile.p50;
console.log(
  JSON.stringify({
    name: "bench-latency",
    pass,
    target: "p50 not above graphile-worker's",
    unit: "ms",
    ...latencies,
    clipscribe_through_the_emulator: emulated,
    ours_to_graphile: Number((own.p50 / graphile.p50).toFixed(2)),
  }),
);
process.exitCode = pass ? 0 : 1;

async function measure(): Promise<Record<string, { p50: number; p99: number }>> {
  await using peers = await startPeers();
  await using runner = await openOwnRunner(join(dir, "own"));
  const media = join(dir, "media");
  mkdirSync(media);
  const entered = new Map<string, number>();
  const child = runner.start();
  const workers = [
    child,
    startPeer("graphile-worker", peers.postgres, entered),
    startPeer("bullmq", String(peers.redisPort), entered),
  ];
  const utils = await loadGraphile().makeWorkerUtils({ connectionString: peers.postgres });
  await utils.migrate();
  const { Queue } = loadBullMq();
  const connection = { host: "127.0.0.1", port: peers.redisPort };
  const queue = new Queue("only", { connection });
  const send: Record<string, (id: string) => Promise<unknown>> = {
    "graphile-worker": async (id) => utils.addJob("only", { id }),
    bullmq: async (id) => queue.add("only", { id }),
  };
  // The ticket is the event: what a submission writes before it is not part of it.
  const sentAt = new Map<string, number>();
  const store: typeof runner.store = {
    ...runner.store,
    put: async (key, body, options) => {
      if (key.startsWith("inbox/")) sentAt.set("now", nowMs());
      return runner.store.put(key, body, options);
    },
  };
  await delay(3_000);
  for (let round = 0; round < ROUNDS + WARM_UP; round++) {
    const number = String(round).padStart(4, "0");
    const path = join(media, `m${number}.mp4`);
    writeFileSync(path, `clipscribe ${round}`);
    const job = `20261124-2200-latency-${number}`;
    await submitTo(store, job, "urgent", runner.digest, [path], runner.home);
    sentAt.set(`clipscribe ${round}`, sentAt.get("now") ?? 0);
    await until(() => runner.entered().has(`clipscribe ${round}`));
    await delay(PAUSE_MS);
    for (const [peer, add] of Object.entries(send)) {
      const id = `${peer} ${round}`;
      sentAt.set(id, nowMs());
      await add(id.replace(" ", "_"));
      await until(() => entered.has(id.replace(" ", "_")));
      await delay(PAUSE_MS);
    }
  }
  for (const [id, at] of runner.entered()) entered.set(id.replace(" ", "_"), at);
  for (const worker of workers) worker.kill("SIGKILL");
  await utils.release();
  await queue.close();
  return Object.fromEntries(
    ["clipscribe", "graphile-worker", "bullmq"].map((name) => {
      const all = Array.from({ length: ROUNDS }, (_, index) => {
        const id = `${name} ${index + WARM_UP}`;
        return (entered.get(id.replace(" ", "_")) ?? Infinity) - (sentAt.get(id) ?? 0);
      }).toSorted((a, b) => a - b);
      const at = (share: number): number =>
        Number((all[Math.min(all.length - 1, Math.floor(all.length * share))] ?? 0).toFixed(1));
      return [name, { p50: at(0.5), p99: at(0.99) }];
    }),
  );
}

function startPeer(peer: string, address: string, entered: Map<string, number>) {
  const script = join(import.meta.dirname, "peers", "peer-child.ts");
  const child = spawn(process.execPath, [script, peer, address], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  child.stdout.on("data", (chunk: Buffer) => {
    for (const line of chunk.toString().trim().split("\n")) {
      const [id = "", at = ""] = line.split(" ");
      if (id.includes("_")) entered.set(id, Number(at));
    }
  });
  return child;
}

async function until(isSo: () => boolean): Promise<void> {
  const deadline = nowMs() + 20_000;
  while (!isSo()) {
    if (nowMs() > deadline) throw new Error("a job did not come in 20 s");
    await delay(2);
  }
}
