/** From a drop to its ticket in the bucket, beyond the settling time: the real agent, the emulated cloud. */
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";

import { movie } from "../../samples/agent-world.ts";
import { openCloudWorld } from "../../samples/cloud-world.ts";
import { median, round } from "../measure.ts";
import { writePlainPipeline } from "./plain-pipeline.ts";

const DROPS = 200;
const SETTLE_MS = 300;
const END_MS = 60_000;

export async function measureTickets(): Promise<Record<string, number>> {
  const dir = mkdtempSync(join(tmpdir(), "clipscribe-tickets-"));
  const pipeline = writePlainPipeline(dir);
  await using cloud = await openCloudWorld(pipeline);
  const home = join(cloud.dir, "laptop");
  const inbox = join(home, "inbox");
  mkdirSync(inbox, { recursive: true });
  const entry = join(import.meta.dirname, "..", "..", "bin", "clipscribe.ts");
  const agent = spawn(process.execPath, [entry, "up", "--json", "--pipeline", pipeline], {
    cwd: cloud.dir,
    env: { ...cloud.env, CLIPSCRIBE_HOME: home, CLIPSCRIBE_SETTLE_MS: `${SETTLE_MS}` },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const droppedAt = new Map<string, number>();
  const tookMs: number[] = [];
  const ids = new Map<number, string>();
  const ready = Promise.withResolvers<void>();
  createInterface({ input: agent.stdout }).on("line", (line) => {
    const event = JSON.parse(line) as { type: string; id: number; name: string; lid: string };
    if (event.type === "lid") ready.resolve();
    if (event.type === "accepted") ids.set(event.id, event.name);
    if (event.type !== "item-handed-off") return;
    const at = droppedAt.get(ids.get(event.id) ?? "");
    if (at !== undefined) tookMs.push(performance.now() - at);
  });
  await ready.promise;
  for (let at = 0; at < DROPS; at++) {
    const name = `talk ${at}.mp4`;
    droppedAt.set(name, performance.now());
    writeFileSync(join(inbox, name), movie(name, 50_000));
    await delay(40);
  }
  for (const untilMs = performance.now() + END_MS; tookMs.length < DROPS;) {
    if (performance.now() > untilMs) break;
    await delay(50);
  }
  const ended = new Promise((resolve) => agent.once("close", resolve));
  agent.kill("SIGTERM");
  await ended;
  rmSync(dir, { recursive: true, force: true });
  const beyond = tookMs.map((ms) => ms - SETTLE_MS).toSorted((a, b) => a - b);
  return {
    drops: DROPS,
    missed: DROPS - tookMs.length,
    settle_ms: SETTLE_MS,
    median_ms: round(median(beyond)),
    p99_ms: round(beyond[Math.ceil(beyond.length * 0.99) - 1] ?? Number.NaN),
  };
}
