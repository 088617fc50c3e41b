/** An inbox of its own, a store in memory, and the real agent, ledger and watch: for tests of drops. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";

import { sourceKey } from "../adapters/bucket-sources/bucket-sources.ts";
import { dropFiles } from "../adapters/drop-files/drop-files.ts";
import { openFolderWatch } from "../adapters/folder-watch/folder-watch.ts";
import { openDropLedger } from "../adapters/ledger/drop-ledger.ts";
import { openUploadBook } from "../adapters/ledger/upload-book.ts";
import { identityOf, openLedger } from "../adapters/ledger/ledger.ts";
import type { Ledger } from "../adapters/ledger/ledger.ts";
import { openMemoryStore } from "../adapters/memory/memory-store.ts";
import { systemClock } from "../adapters/system/system-clock.ts";
import { ClipscribeError } from "../core/errors.ts";
import { Sha256, UserId } from "../core/ids.ts";
import { Ticket } from "../core/records.ts";
import type { Download, Downloader } from "../ports/downloader.ts";
import type { DropLedger } from "../ports/drop-ledger.ts";
import type { ObjectStore } from "../ports/object-store.ts";
import type { AgentEvent, AgentWorld } from "../sync/agent-world.ts";
import { openAgent } from "../sync/agent.ts";
import type { Agent } from "../sync/agent.ts";
import { submitJob } from "../sync/submit-job.ts";
import { openDigestInPlace } from "../sync/digest-in-place.ts";
import { uploadSource } from "../sync/upload-source.ts";
import { openUploads } from "../sync/uploads.ts";

export const AGENT_USER = UserId.parse("me");

export interface AgentTestWorld {
  dir: string;
  inbox: string;
  world: AgentWorld;
  store: ObjectStore;
  ledger: DropLedger;
  hashes: Ledger;
  events: AgentEvent[];
  /** Starts an agent; a test may end it and start another. */
  start(): Agent;
  /** Waits until it holds. */
  until(condition: () => boolean | Promise<boolean>, what?: string): Promise<void>;
  /** Paths below a folder, with their sizes unless `bare`. */
  list(folder: "inbox" | "done" | "rejected"): string[];
  tickets(): Promise<Ticket[]>;
  drop(name: string, content?: Uint8Array | string): string;
}

export interface AgentTestOptions {
  sourcesStay?: boolean;
  /** Changes parts of the world before an agent sees it. */
  change?: (world: AgentWorld) => AgentWorld;
}

export function openAgentWorld(t: TestContext, options: AgentTestOptions = {}): AgentTestWorld {
  const dir = mkdtempSync(join(tmpdir(), "clipscribe-agent-"));
  const folders = {
    inbox: join(dir, "inbox"),
    done: join(dir, "done"),
    rejected: join(dir, "rejected"),
    downloads: join(dir, "downloads"),
  };
  for (const folder of Object.values(folders)) mkdirSync(folder);
  const hashes = openLedger(join(dir, "ledger.db"));
  const ledger = openDropLedger(join(dir, "ledger.db"));
  const book = openUploadBook(join(dir, "ledger.db"), "memory");
  const uploads = openUploads({
    book,
    openDigester: openDigestInPlace,
    clock: systemClock,
    bytesPerSecond: null,
  });
  const store = openMemoryStore();
  const events: AgentEvent[] = [];
  const sourcesStay = options.sourcesStay ?? false;
  const plain: AgentWorld = {
    user: AGENT_USER,
    device: "laptop",
    folders,
    files: dropFiles,
    openWatch: (folder, listener) => openFolderWatch(folder, listener, { rescanMs: 200 }),
    ledger,
    store,
    clock: systemClock,
    random: Math.random,
    downloader: noDownloader,
    rhythm: { settleMs: 60, patienceMs: 600 },
    sourcesStay,
    pipeline: () => ({
      name: "test",
      digest: Sha256.parse("d".repeat(64)),
      accept: ["mp4", "wav"],
    }),
    remember: (path, sha256, at) =>
      hashes.remember(path, identityOf(statSync(path, { bigint: true })), sha256, at),
    isMedium: () => Promise.resolve(false),
    isBeingWritten: () => Promise.resolve(false),
    async handOff({ submission, item, signal }) {
      if (item.source === null || item.path === null) throw new Error("not ready");
      if (!sourcesStay) {
        const key = sourceKey(submission.user, item.source);
        await uploadSource(store, key, { path: item.path, source: item.source, uploads, signal });
      }
      const [handoff] = await submitJob(store, systemClock, submission);
      if (handoff === undefined) throw new Error("nothing was handed off");
      return handoff;
    },
    listener: (event) => events.push(event),
  };
  const world = options.change?.(plain) ?? plain;
  const agents = new Set<Agent>();
  t.after(async () => {
    for (const agent of agents) await agent[Symbol.asyncDispose]();
    ledger[Symbol.dispose]();
    book[Symbol.dispose]();
    hashes[Symbol.dispose]();
    rmSync(dir, { recursive: true, force: true });
  });
  return {
    dir,
    inbox: folders.inbox,
    world,
    store,
    ledger,
    hashes,
    events,
    start() {
      const agent = openAgent(world);
      agents.add(agent);
      return agent;
    },
    async until(condition, what) {
      for (let tries = 0; tries < 1_500; tries++) {
        if (await condition()) return;
        await delay(10);
      }
      const seen = events.slice(-8).map((event) => JSON.stringify(event));
      throw new Error(
        `it never came to that${what === undefined ? "" : `: ${what}`}; ${seen.join("\n")}`,
      );
    },
    list: (folder) =>
      readdirSync(folders[folder], { recursive: true, encoding: "utf8" }).toSorted(),
    async tickets() {
      const found: Ticket[] = [];
      for await (const { key } of store.list("inbox/")) {
        const { body } = await store.get(key);
        found.push(Ticket.parse(JSON.parse(Buffer.from(body).toString("utf8"))));
      }
      return found;
    },
    drop(name, content = movie(name)) {
      const path = join(folders.inbox, name);
      mkdirSync(join(path, ".."), { recursive: true });
      writeFileSync(path, content);
      return path;
    },
  };
}

const noDownloader: Downloader = {
  look: () => Promise.reject(new ClipscribeError("bug", "nobody looks here")),
  fetch: (): Promise<Download> => Promise.reject(new ClipscribeError("bug", "nobody fetches here")),
};

/** A whole movie to whoever walks its boxes; its media are the text. */
export function movie(text: string, bytes = 200): Buffer {
  const box = (type: string, body: Buffer): Buffer => {
    const header = Buffer.alloc(8);
    header.writeUInt32BE(8 + body.length);
    header.write(type, 4, "latin1");
    return Buffer.concat([header, body]);
  };
  const media = Buffer.concat([
    Buffer.from(text),
    Buffer.alloc(Math.max(0, bytes - text.length), 9),
  ]);
  return Buffer.concat([
    box("ftyp", Buffer.from("isomiso2")),
    box("mdat", media),
    box("moov", Buffer.alloc(16, 1)),
  ]);
}
