/**
 * Publishes a transcript as a run would, into a folder, with the real stages in this thread: for tests that open
 * each file with somebody else's program, and for the benchmark of long transcripts.
 */
import { copyFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import type { Intelligence } from "../core/intelligence.ts";
import { ItemInfo } from "../core/records.ts";
import type { Transcript } from "../core/transcript.ts";
import { runStage } from "../runner/stage-harness.ts";
import type { StageRunResult } from "../runner/stage-harness.ts";
import exportStage from "../stages/export.ts";
import extract from "../stages/extract.ts";
import graph from "../stages/graph.ts";
import report from "../stages/report.ts";

const ROOT = join(import.meta.dirname, "..");

export interface PublishOptions {
  transcript: Transcript;
  /** Without them they are extracted: by `chat`, or by the offline rules. */
  intelligence?: Intelligence;
  chat?: (prompt: string) => Promise<unknown>;
  item?: Partial<ItemInfo>;
  lacks?: { stage: string; why: string }[];
  hasVideo?: boolean;
  /** Called after each stage. */
  onStage?: (name: string) => void;
}

export interface Published {
  /** Absolute; holds the published files and nothing else. */
  folder: string;
  names: string[];
  text(name: string): Promise<string>;
  intelligence: Intelligence;
}

interface TestLike {
  after(clean: () => Promise<void>): void;
}

export async function publishAll(t: TestLike, options: PublishOptions): Promise<Published> {
  const { transcript, chat, onStage } = options;
  const folder = await mkdtemp(join(tmpdir(), "clipscribe-published-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const names: string[] = [];
  const keep = async (name: string, made: StageRunResult): Promise<void> => {
    for (const { fileName, content } of Object.values(made.artifacts)) {
      if (fileName === null) continue;
      names.push(fileName);
      const target = join(folder, fileName);
      if (content.kind === "text") await writeFile(target, content.text);
      else await copyFile(content.path, target);
    }
    onStage?.(name);
  };
  let { intelligence } = options;
  if (intelligence === undefined) {
    const asked =
      chat === undefined ? {} : { chat, provider: { provider: "xai", model: "grok-4.3" } };
    const found = await runStage(t, extract, { input: { transcript }, ...asked });
    intelligence = found.json["intelligence"] as Intelligence;
    onStage?.("intelligence");
  }
  const drawn = await runStage(t, graph, { input: { intelligence } });
  await keep("graph", drawn);
  const item = ItemInfo.parse({ file_name: "talk.mp4", ...options.item });
  const media = {
    schema: 1,
    container: "mp4",
    duration: transcript.duration,
    bit_rate: null,
    title: null,
    created_at: null,
    has_video: options.hasVideo ?? true,
    has_audio: true,
    streams: [],
    chapters: [],
  };
  const made = { id: "transcript", uses: "stages/transcribe.ts", cost_usd: 0.5, seconds: 2 };
  const provenance = {
    pipeline: "clipscribe",
    clipscribe_version: "0.1.0",
    source_sha256: "0".repeat(64),
    stages: [
      {
        ...made,
        provider: transcript.provider,
        model: transcript.model,
        ended_at: "2026-01-01T00:00:00.000Z",
      },
    ],
    lacks: options.lacks ?? [],
  };
  const input = { item, media, transcript, intelligence, provenance };
  await keep("export", await runStage(t, exportStage, { input }));
  const params = {
    template: await readFile(join(ROOT, "templates", "report.md"), "utf8"),
    html_template: await readFile(join(ROOT, "templates", "report.html"), "utf8"),
  };
  const knowledge_graph = drawn.json["knowledge_graph"];
  await keep("report", await runStage(t, report, { input: { ...input, knowledge_graph }, params }));
  return {
    folder,
    names,
    intelligence,
    text: async (name) => readFile(join(folder, name), "utf8"),
  };
}
