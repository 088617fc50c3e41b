/** A runner's world in memory, with stages that run in this thread: for campaigns that look inside. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { z } from "zod";

import { openMemoryStore } from "../adapters/memory/memory-store.ts";
import { systemClock } from "../adapters/system/system-clock.ts";
import { digestOf, sha256Of } from "../core/digest.ts";
import { ItemId, JobId, RunnerId, UserId } from "../core/ids.ts";
import type { Lane } from "../core/ids.ts";
import { queueItem } from "../core/item-state.ts";
import { keysOf } from "../core/keys.ts";
import type { CheckedPipeline, CheckedStage } from "../core/pipeline.ts";
import { Ticket } from "../core/records.ts";
import { defineStage, file, json } from "../core/stage.ts";
import type { StageDefinition } from "../core/stage.ts";
import type { EventQueue } from "../ports/event-queue.ts";
import type { Log } from "../ports/log.ts";
import type { ObjectStore } from "../ports/object-store.ts";
import type { StagePool } from "../ports/stage-pool.ts";
import { ALL_DEFENCES } from "../runner/defences.ts";
import type { Defences } from "../runner/defences.ts";
import { createStageContext } from "../runner/stage-context.ts";
import { collectOutputs, parseInputs, parseParams } from "../runner/stage-values.ts";
import type { RunnerWorld } from "../runner/world.ts";

export const USER = UserId.parse("me");
export const JOB = JobId.parse("job");
export const ITEM = ItemId.parse("item");
export const KEYS = keysOf(USER);

const quiet: Log = { debug() {}, info() {}, warn() {}, error() {}, with: () => quiet };

const only = defineStage({
  input: { source: file({ mediaType: "*/*" }) },
  output: {
    one: json(z.object({ n: z.number() }), { fileName: "one.json" }),
    two: json(z.object({ n: z.number() }), { fileName: "two.json" }),
  },
  params: z.strictObject({}),
  run: ({ input }) => ({ one: { n: input.source.sizeBytes }, two: { n: 2 } }),
}) as unknown as StageDefinition;

const stage: CheckedStage = {
  id: "only",
  uses: "stages/only.ts",
  runsOn: "worker",
  with: {},
  in: {},
  retry: { attempts: 1, backoff: "fixed" },
  timeoutMs: 10_000,
  pool: "cpu",
  optional: false,
  contract: only,
  codeDigest: digestOf("only"),
  bundlePath: "only",
  params: {},
  texts: {},
  inputs: { source: { from: "built-in", name: "source" } },
  after: [],
};

export const PIPELINE: CheckedPipeline = {
  name: "campaign",
  accept: ["mp4"],
  stages: [stage],
  publish: [
    { file: "one.json", stage: "only", artifact: "one" },
    { file: "two.json", stage: "only", artifact: "two" },
  ],
  pools: {},
  budget: { itemUsd: null, jobUsd: null, dayUsd: null },
  digest: digestOf("campaign"),
};

/** Runs a stage in this thread, with the same checks as a worker. */
const inlinePool: StagePool = {
  async run(task, host, limits) {
    const ctx = createStageContext({
      host,
      signal: limits.signal,
      scratchDir: task.scratchDir,
      provider: task.provider,
      toJsonSchema: () => ({}),
    });
    const input = parseInputs(only, task.inputs);
    const params = parseParams(only, task.params);
    return collectOutputs(only, await only.run({ input, params, ctx }), task.scratchDir);
  },
  close: () => Promise.resolve(),
};

const NO_MAIL: RunnerWorld["mail"] = {
  notifiers: {},
  defaults: { email: null, webhook: null },
  resultsUrl: (job) => `memory:${job}/`,
};

export interface EngineOptions {
  store?: ObjectStore;
  queue?: EventQueue;
  defences?: Partial<Defences>;
  runner?: string;
  verifySource?: () => Promise<void>;
  providers?: RunnerWorld["providers"];
  listener?: RunnerWorld["listener"];
}

export function engineWorld(options: EngineOptions = {}): RunnerWorld {
  return {
    runner: RunnerId.parse(options.runner ?? "runner-a"),
    user: USER,
    version: "0",
    store: options.store ?? openMemoryStore(),
    storeReach: async () => ({ open: false, why: "the store is in memory" }),
    queues: options.queue === undefined ? {} : { urgent: options.queue },
    clock: systemClock,
    log: quiet,
    random: () => 0.5,
    tools: {
      run: () => Promise.reject(new Error("no tools")),
      versions: () => Promise.resolve({}),
    },
    sources: {
      locate: () =>
        Promise.resolve({
          path: "/dev/null",
          verify: options.verifySource ?? (() => Promise.resolve()),
        }),
    },
    drops: { read: () => Promise.reject(new Error("no drops")) },
    pool: inlinePool,
    pipelines: {
      current: () => PIPELINE,
      find: async (digest) => (digest === PIPELINE.digest ? PIPELINE : undefined),
    },
    providers: options.providers ?? { transcribers: [], chats: [], paid: new Map() },
    timestamps: null,
    mail: NO_MAIL,
    processes: null,
    cores: 2,
    items: 2,
    workDir: newWorkDir(),
    clocks: { leaseMs: 1_000, sweepMs: 200, pollMs: 3_600_000, stallMs: 600_000 },
    defences: { ...ALL_DEFENCES, ...options.defences },
    listener: options.listener ?? (() => undefined),
  };
}

let workDirs: string | undefined;

/** In one folder for all worlds of this process, which goes when it ends. */
function newWorkDir(): string {
  if (workDirs === undefined) {
    const made = mkdtempSync(join(tmpdir(), "clipscribe-engine-"));
    process.once("exit", () => rmSync(made, { recursive: true, force: true }));
    workDirs = made;
  }
  return mkdtempSync(join(workDirs, "world-"));
}

export interface TicketParts {
  job?: JobId;
  item?: ItemId;
  lane?: Lane;
}

export function ticketOf(
  run = 1,
  { job = JOB, item = ITEM, lane = "urgent" }: TicketParts = {},
): Ticket {
  return Ticket.parse({
    schema: 1,
    job_id: job,
    item_id: item,
    run,
    user: USER,
    lane,
    pipeline_digest: PIPELINE.digest,
    source: {
      kind: "file",
      url: null,
      filename: `${item}.mp4`,
      sha256: sha256Of(`${job}/${item}`),
      size: 1,
      media_type: "video/mp4",
    },
    artifacts: [],
    info: { file_name: `${item}.mp4` },
    created_at: new Date().toISOString(),
  });
}

/** What a submission leaves: metadata, state, ticket. Returns the ticket's key. */
export async function submit(store: ObjectStore): Promise<ReturnType<typeof KEYS.ticket>> {
  const [key] = await submitTickets(store, [ticketOf()]);
  if (key === undefined) throw new Error("one ticket has one key");
  return key;
}

/** A job of so many items, in one lane. */
export async function submitMany(
  store: ObjectStore,
  count: number,
  job = "many",
  lane: Lane = "urgent",
): Promise<ReturnType<typeof KEYS.ticket>[]> {
  const tickets = Array.from({ length: count }, (_, at) =>
    ticketOf(1, { job: JobId.parse(job), item: ItemId.parse(`item-${at}`), lane }),
  );
  return submitTickets(store, tickets);
}

async function submitTickets(
  store: ObjectStore,
  tickets: readonly Ticket[],
): Promise<ReturnType<typeof KEYS.ticket>[]> {
  const [first] = tickets;
  if (first === undefined) return [];
  const { job_id: job, lane } = first;
  const metadata = {
    schema: 1,
    job_id: job,
    user: USER,
    user_email: null,
    submitted_at: first.created_at,
    lane,
    pipeline: { name: PIPELINE.name, digest: PIPELINE.digest },
    items: tickets.map(({ item_id, source }) => ({ item_id, source })),
    options: {},
    device: "campaign",
    notify: { email: null, webhook: null },
    control: { state: "run", budget_usd: null },
  };
  await store.put(KEYS.metadata(job), Buffer.from(JSON.stringify(metadata)));
  return Promise.all(
    tickets.map(async (ticket) => {
      const { item_id: item } = ticket;
      const state = queueItem(ticket, new Date());
      await store.put(KEYS.item(job, item), Buffer.from(JSON.stringify(state)));
      const key = KEYS.ticket(lane, job, item, 1);
      await store.put(key, Buffer.from(JSON.stringify(ticket)));
      return key;
    }),
  );
}
