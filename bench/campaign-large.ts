/**
 * make campaign-large: a 5 GiB body through the disk store, and a 4 GB video through the default
 * pipeline, in bounded memory. The bounds: 256 MiB of growth for the store, 700 MiB for the whole
 * process that runs the pipeline (ffmpeg's children are bounded by their own sandbox).
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, statSync, statfsSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { openDiskStore } from "../adapters/disk/disk-store.ts";
import { parseObjectKey } from "../core/keys.ts";
import { ROOT } from "./campaign-world.ts";
import { report, round } from "./measure.ts";

const GIB = 1024 ** 3;
const BODY_BYTES = 5 * GIB;
const CHUNK_BYTES = 4 * 1024 * 1024;
const STORE_BOUND_MB = 256;
const RUN_BOUND_MB = 700;
/** Seconds of raw 1080p at 25 frames: 4.3 GB. */
const VIDEO_S = 56;

const dir = mkdtempSync(join(tmpdir(), "clipscribe-large-"));

async function storeBody(): Promise<{ growthMb: number; seconds: number; isWhole: boolean }> {
  await using store = openDiskStore({ root: join(dir, "store") });
  const key = parseObjectKey("blobs/me/large");
  const before = process.memoryUsage().rss;
  let peak = before;
  const written = createHash("sha256");
  const body = async function* (): AsyncGenerator<Uint8Array> {
    const chunk = Buffer.alloc(CHUNK_BYTES);
    for (let at = 0; at < BODY_BYTES / CHUNK_BYTES; at++) {
      chunk.writeUInt32LE(at, (at * 64) % (CHUNK_BYTES - 4));
      written.update(chunk);
      peak = Math.max(peak, process.memoryUsage().rss);
      yield chunk;
    }
  };
  const startedMs = performance.now();
  await store.putStream(key, body());
  const read = createHash("sha256");
  let bytes = 0;
  for await (const chunk of (await store.getStream(key)).body) {
    read.update(chunk);
    bytes += chunk.length;
    peak = Math.max(peak, process.memoryUsage().rss);
  }
  const isWhole = bytes === BODY_BYTES && read.digest("hex") === written.digest("hex");
  await store.delete(key);
  return {
    growthMb: round((peak - before) / 1024 ** 2),
    seconds: round((performance.now() - startedMs) / 1000),
    isWhole,
  };
}

function runVideo(): { peakMb: number; seconds: number; sizeGb: number; code: number | null } {
  const video = join(dir, "large.mkv");
  const source = [
    "-f",
    "lavfi",
    "-i",
    `testsrc2=s=1920x1080:r=25:d=${VIDEO_S}`,
    "-f",
    "lavfi",
    "-i",
    `sine=d=${VIDEO_S}`,
  ];
  spawnSync("ffmpeg", [
    "-v",
    "error",
    ...source,
    "-pix_fmt",
    "yuv420p",
    "-c:v",
    "rawvideo",
    "-c:a",
    "pcm_s16le",
    video,
  ]);
  writeFileSync(
    join(dir, "large.en.vtt"),
    "WEBVTT\n\n00:00.000 --> 00:09.000\n<v Ada Lovelace>Norden Construction received $4.2 million. We voted on it in May.\n",
  );
  const sizeGb = round(statSync(video).size / 1e9);
  const startedMs = performance.now();
  const end = spawnSync(process.execPath, [join(import.meta.dirname, "bench-stage-child.ts")], {
    cwd: ROOT,
    env: {
      PATH: process.env["PATH"],
      HOME: dir,
      CLIPSCRIBE_HOME: join(dir, "home"),
      CAMPAIGN_PLAN: JSON.stringify({ inbox: video, pipeline: join(ROOT, "pipeline.yaml") }),
    },
    maxBuffer: 64 * 1024 * 1024,
  });
  const line = end.stdout.toString().trim().split("\n").at(-1) ?? "{}";
  const { peak_mb: peakMb = Number.NaN } = JSON.parse(line) as { peak_mb?: number };
  return {
    peakMb,
    seconds: round((performance.now() - startedMs) / 1000),
    sizeGb,
    code: end.status,
  };
}

try {
  const { bavail, bsize } = statfsSync(dir);
  if (bavail * bsize < 12 * GIB) {
    console.error("campaign-large needs 12 GiB free in the folder for temporary files");
    report({ name: "campaign-large", pass: false, problem: "not enough room" });
  } else {
    const store = await storeBody();
    const video = runVideo();
    const pass =
      store.isWhole &&
      store.growthMb <= STORE_BOUND_MB &&
      video.code === 0 &&
      video.peakMb <= RUN_BOUND_MB &&
      video.sizeGb >= 4;
    report({
      name: "campaign-large",
      pass,
      store_gib: 5,
      store_growth_mb: store.growthMb,
      store_bound_mb: STORE_BOUND_MB,
      store_seconds: store.seconds,
      video_gb: video.sizeGb,
      video_peak_mb: video.peakMb,
      video_bound_mb: RUN_BOUND_MB,
      video_seconds: video.seconds,
    });
  }
} finally {
  rmSync(dir, { recursive: true, force: true });
}
