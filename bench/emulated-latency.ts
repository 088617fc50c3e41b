/**
 * Event → stage entered through the emulated cloud: an S3 put, its notification, and short polling of
 * the queue by the pace of the defaults. A second figure: what it is here is mostly the pace.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

import { openCloudWorld } from "../samples/cloud-world.ts";
import { submitTo } from "../samples/submit-to.ts";
import { openOwnRunner, untilReady } from "./peers/own-runner.ts";
import { nowMs } from "./peers/start-peers.ts";

const ROUNDS = 30;
/** Between two tickets: the pace has slowed down by then. */
const PAUSE_MS = 1_000;
const MAX_WAIT_MS = 30_000;

export interface EmulatedLatency {
  p50: number;
  p99: number;
  rounds: number;
  pause_ms: number;
}

export async function measureEmulated(dir: string): Promise<EmulatedLatency> {
  mkdirSync(dir, { recursive: true });
  await using own = await openOwnRunner(dir);
  await using cloud = await openCloudWorld(join(dir, "pipeline.yaml"));
  // Empty: the defaults of a bucket, as a person has them.
  const defaults = { CLIPSCRIBE_LEASE_MS: "", CLIPSCRIBE_SWEEP_MS: "", CLIPSCRIBE_POLL_MS: "" };
  await untilReady(cloud.startRunner("emulated", { env: defaults }));
  let sentMs = 0;
  const store: typeof cloud.store = {
    ...cloud.store,
    async put(key, body, options) {
      if (key.startsWith("inbox/")) sentMs = nowMs();
      return cloud.store.put(key, body, options);
    },
  };
  const latencies: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const text = `emulated ${round}`;
    const path = join(dir, `emulated-${round}.mp4`);
    writeFileSync(path, text);
    const job = `20261124-2200-emulated-${String(round).padStart(4, "0")}`;
    await submitTo(store, job, "urgent", own.digest, [path]);
    const deadline = nowMs() + MAX_WAIT_MS;
    while (!own.entered().has(text)) {
      if (nowMs() > deadline) throw new Error("an event did not come through the emulator");
      await delay(5);
    }
    latencies.push((own.entered().get(text) ?? Infinity) - sentMs);
    await delay(PAUSE_MS);
  }
  latencies.sort((a, b) => a - b);
  const at = (share: number): number =>
    Number((latencies[Math.min(ROUNDS - 1, Math.floor(ROUNDS * share))] ?? 0).toFixed(1));
  return { p50: at(0.5), p99: at(0.99), rounds: ROUNDS, pause_ms: PAUSE_MS };
}
