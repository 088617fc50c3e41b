/**
 * One scenario a defence: it returns what went wrong. With all defences on, nothing does; with its
 * own switched off, something must. Each looks at what a person would lose, not at the switch.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { realDiskFs } from "../adapters/disk/disk-fs.ts";
import type { DiskFs } from "../adapters/disk/disk-fs.ts";
import { openDiskStore } from "../adapters/disk/disk-store.ts";
import { openPowerLossFs } from "../adapters/disk/power-loss-fs.ts";
import { openMemoryStore } from "../adapters/memory/memory-store.ts";
import { sha256Of } from "../core/digest.ts";
import { ClipscribeError } from "../core/errors.ts";
import { RunnerId } from "../core/ids.ts";
import { claimItem, planClaim, publishItem } from "../core/item-state.ts";
import { parseObjectKey } from "../core/keys.ts";
import { settleOnce } from "../core/money.ts";
import type { ItemState } from "../core/records.ts";
import { failing } from "../ports/failing.ts";
import type { ObjectStore } from "../ports/object-store.ts";
import { openArtifactShelf } from "../runner/artifact-shelf.ts";
import { claimTicket } from "../runner/claim.ts";
import { NO_LOOK_AHEAD } from "../runner/look-ahead.ts";
import type { Defences } from "../runner/defences.ts";
import { writeOwned } from "../runner/item-progress.ts";
import { readItem, swapItem } from "../runner/item-record.ts";
import { openJobMetadata } from "../runner/job-metadata.ts";
import { openJobRows } from "../runner/job-rows.ts";
import { openCalls } from "../runner/open-calls.ts";
import { payOnce } from "../runner/paid-calls.ts";
import { openRunner } from "../runner/runner.ts";
import { openStageCache } from "../runner/stage-cache.ts";
import { runTail } from "../runner/tail.ts";
import { ITEM, JOB, KEYS, engineWorld, submit, ticketOf } from "./campaign-engine.ts";
import {
  forsakenCall,
  lostEvent,
  lostMessage,
  sleepyPayment,
  stolenWork,
  twoClaims,
} from "./mutant-fleet.ts";

export type Switches = Partial<Defences> & {
  flushFile?: false;
  flushFolder?: false;
  heedConditions?: false;
};
export type Scenario = (switches: Switches) => Promise<string[]>;

const ADDRESS = { lane: "urgent", user: ticketOf().user, job: JOB, item: ITEM, run: 1 } as const;
const signal = AbortSignal.timeout(60_000);

/** A runner that was taken for dead wakes up and publishes. */
const zombie: Scenario = async (defences) => {
  const store = openMemoryStore();
  await submit(store);
  const world = engineWorld({ store, defences, runner: "zombie" });
  const key = KEYS.item(JOB, ITEM);
  const start = await readItem(store, key);
  if (start === undefined) return ["no state"];
  const mine = await swapItem(
    store,
    key,
    claimItem(start.state, ticketOf(), world.runner, new Date()),
    start.etag,
  );
  const heir = RunnerId.parse("heir");
  await swapItem(store, key, claimItem(mine.state, ticketOf(), heir, new Date()), mine.etag);
  const publish = (state: ItemState): ItemState =>
    publishItem(
      state,
      { owner: world.runner, epoch: mine.state.epoch, now: new Date() },
      "complete",
      {
        manifest: { sha256: sha256Of("late"), size: 4, run: 1 },
        resultsKey: "r",
        stages: {},
        cost: 0,
      },
    );
  await writeOwned(world, key, mine, publish).catch(() => undefined);
  const after = (await readItem(store, key))?.state;
  return after?.owner === heir ? [] : ["a zombie's write replaced the living runner's claim"];
};

/** A runner that dies in its work, again and again, without a word. */
const poison: Scenario = async (defences) => {
  const store = openMemoryStore();
  await submit(store);
  for (let death = 0; death < 12; death++) {
    const world = engineWorld({ store, defences, runner: `runner-${death}` });
    const liveness = {
      lost: signal,
      isAlive: () => Promise.resolve(false),
      storeNow: () => new Date(),
      startWatching: () => undefined,
      assertAlive: () => undefined,
      place: () => ({ size: 1, rank: 0 }),
      [Symbol.asyncDispose]: () => Promise.resolve(),
    };
    const verdict = await claimTicket(
      { world, keys: KEYS, liveness, isActive: () => false, lookAhead: () => NO_LOOK_AHEAD },
      ADDRESS,
    );
    if (verdict.action === "finish-tail")
      return verdict.state.status === "failed" ? [] : ["it did not fail"];
  }
  const state = (await readItem(store, KEYS.item(JOB, ITEM)))?.state;
  const decision = state && planClaim(state, { run: 1 }, { now: new Date(), ownerIsAlive: false });
  return [`twelve deaths, and the next decision is ${decision?.action}`];
};

/** A blob whose bytes changed on the disk. */
const rottenBlob: Scenario = async (defences) => {
  const store = openMemoryStore();
  const world = engineWorld({ store, defences });
  const shelf = openArtifactShelf(store, KEYS, world.defences);
  const text = "x".repeat(20_000);
  const sha256 = sha256Of(text);
  await store.put(KEYS.blob(sha256), Buffer.from(`y${text.slice(1)}`));
  const artifact = {
    sha256,
    size: text.length,
    media_type: "text/plain",
    file_name: null,
    inline: null,
  };
  const read = await shelf.readText(artifact, signal).catch(() => undefined);
  return read === undefined ? [] : ["a damaged artifact was handed to a stage"];
};

/** A cache entry that was changed without its checksum. */
const rottenEntry: Scenario = async (defences) => {
  const store = openMemoryStore();
  const world = engineWorld({ store, defences });
  const shelf = openArtifactShelf(store, KEYS, world.defences);
  const cache = openStageCache(store, KEYS, shelf, world.log, world.defences);
  const now = new Date().toISOString();
  const key = sha256Of("key");
  const inline = {
    sha256: sha256Of("real"),
    size: 4,
    media_type: "text/plain",
    file_name: null,
    inline: "real",
  };
  await cache.add(
    {
      schema: 1,
      kind: "stage",
      stage: "s",
      key,
      ingredients: {},
      artifacts: { a: inline },
      usage: {},
      cost: 0,
      provider: null,
      model: null,
      prompt_digest: null,
      tools: {},
      started_at: now,
      ended_at: now,
      made_by: "x",
    },
    signal,
  );
  const { body } = await store.get(KEYS.cache(key));
  await store.put(
    KEYS.cache(key),
    Buffer.from(Buffer.from(body).toString().replace('"provider":null', '"provider":"forged"')),
  );
  return (await cache.find(key, signal)) === undefined ? [] : ["a damaged cache entry was reused"];
};

/** The process dies at each operation of a tail: what is visible must be whole. */
function tailDeaths(judge: (store: ObjectStore) => Promise<string[]>): Scenario {
  return async (defences) => {
    const problems: string[] = [];
    for (let at = 1; at < 40; at++) {
      const store = openMemoryStore();
      await submit(store);
      const done = Promise.withResolvers<void>();
      let ended: ItemState | undefined;
      const world = engineWorld({
        store,
        listener: (event) => event.type === "item-ended" && done.resolve(),
      });
      const runner = await openRunner(world, { sweepPrefix: "inbox/", accepts: () => true });
      runner.hint(KEYS.ticket("urgent", JOB, ITEM, 1));
      await done.promise;
      await runner[Symbol.asyncDispose]();
      ended = (await readItem(store, KEYS.item(JOB, ITEM)))?.state;
      if (ended === undefined) return ["no state"];
      // As after a crash between publish and tail.
      for (const file of ["manifest.json", "one.json", "two.json", "manifest-sha256.txt"])
        await store.delete(KEYS.result(JOB, ITEM, file));
      await store.delete(KEYS.status(JOB));
      await store.put(KEYS.ticket("urgent", JOB, ITEM, 1), Buffer.from(JSON.stringify(ticketOf())));
      const broken = failing(store, { at, mode: "error" });
      const late = engineWorld({ store: broken, defences });
      const jobs = openJobMetadata(broken, KEYS);
      const rows = openJobRows({ store: broken, keys: KEYS, jobs, clock: late.clock });
      const isOver = await runTail(late, KEYS, rows, ticketOf(), { state: ended }).then(
        () => true,
        () => false,
      );
      problems.push(...(await judge(store)).map((problem) => `${problem} (death at ${at})`));
      if (isOver) break;
    }
    return problems;
  };
}

const halfProjected = tailDeaths(async (store) => {
  if ((await store.head(KEYS.result(JOB, ITEM, "manifest.json"))) === undefined) return [];
  const files = ["one.json", "two.json", "manifest-sha256.txt"];
  const there = await Promise.all(
    files.map(async (file) => store.head(KEYS.result(JOB, ITEM, file))),
  );
  return there.every((each) => each !== undefined)
    ? []
    : ["manifest.json is there before its files"];
});

const lostTail = tailDeaths(async (store) => {
  if ((await store.head(KEYS.ticket("urgent", JOB, ITEM, 1))) !== undefined) return [];
  const isDone =
    (await store.head(KEYS.status(JOB))) !== undefined &&
    (await store.head(KEYS.result(JOB, ITEM, "manifest.json"))) !== undefined;
  return isDone ? [] : ["the ticket is gone, and nobody will finish the tail"];
});

/** The process dies while it pays: the record has to say that money may be gone. */
const silentPayment: Scenario = async (defences) => {
  const store = openMemoryStore();
  let intent = false;
  const call = async (): Promise<never> => {
    for await (const { key } of store.list("cache/")) intent ||= key !== "";
    throw new ClipscribeError("bug", "died while paying");
  };
  const world = engineWorld({ store, defences });
  const request = { provider: "p", model: "m", operation: "o", payload: {} };
  const reserve = () => Promise.resolve(settleOnce(() => undefined));
  const calls = openCalls(world);
  const isAlive = () => Promise.resolve(false);
  const context = { signal, reserve, calls, isAlive, assertAlive: () => undefined };
  await payOnce(world, KEYS, { request, estimateUsd: 0.1, call }, context).catch(() => undefined);
  return intent ? [] : ["money was spent of which no record speaks"];
};

/** The person's file changed after it was hashed. */
const changedSource: Scenario = async (defences) => {
  const store = openMemoryStore();
  const key = await submit(store);
  const ended = Promise.withResolvers<string>();
  const world = engineWorld({
    store,
    defences,
    verifySource: () => Promise.reject(new ClipscribeError("contract", "the file changed")),
    listener: (event) => event.type === "item-ended" && ended.resolve(event.status),
  });
  const runner = await openRunner(world, { sweepPrefix: "inbox/", accepts: () => true });
  runner.hint(key);
  const status = await ended.promise;
  await runner[Symbol.asyncDispose]();
  return status === "failed" ? [] : [`results of a changed file were published as ${status}`];
};

/** Power is cut right after a put was answered. */
const powerCut: Scenario = async ({ flushFile, flushFolder }) => {
  const dir = mkdtempSync(join(tmpdir(), "clipscribe-power-"));
  try {
    const root = join(dir, "store");
    const power = openPowerLossFs(realDiskFs, root);
    const fs: DiskFs = {
      ...power.fs,
      ...(flushFile === false && {
        writeNew: async (path: string, body: Uint8Array, _sync: boolean, isMade?: boolean) =>
          power.fs.writeNew(path, body, false, isMade),
      }),
      ...(flushFolder === false && { syncFolder: () => Promise.resolve() }),
    };
    const store = openDiskStore({ root, fs });
    const key = parseObjectKey("jobs/me/job/items/item.json");
    await store.put(key, Buffer.from("evidence"));
    power.crash();
    const after = openDiskStore({ root });
    const read = await after.get(key).then(
      ({ body }) => Buffer.from(body).toString(),
      () => "gone",
    );
    await after[Symbol.asyncDispose]();
    await store[Symbol.asyncDispose]();
    return read === "evidence"
      ? []
      : [`a durable object is ${read === "" ? "empty" : read} after a power cut`];
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
};

export const MUTANTS: { name: string; off: Switches; scenario: Scenario }[] = [
  { name: "claim is a compare-and-swap", off: { claimIfMatch: false }, scenario: twoClaims },
  { name: "epoch check", off: { epochCheck: false }, scenario: zombie },
  { name: "attempts counted before work", off: { attemptsBeforeWork: false }, scenario: poison },
  { name: "hash check on read", off: { hashCheckOnRead: false }, scenario: rottenBlob },
  { name: "cache checksum", off: { cacheChecksum: false }, scenario: rottenEntry },
  { name: "manifest last", off: { manifestLast: false }, scenario: halfProjected },
  { name: "ticket last", off: { ticketLast: false }, scenario: lostTail },
  { name: "acknowledge after the claim", off: { ackAfterClaim: false }, scenario: lostMessage },
  { name: "the store heeds conditions", off: { heedConditions: false }, scenario: twoClaims },
  {
    name: "liveness before takeover",
    off: { livenessBeforeTakeover: false },
    scenario: stolenWork,
  },
  { name: "sweep", off: { sweep: false }, scenario: lostEvent },
  { name: "paid intent first", off: { paidIntentFirst: false }, scenario: silentPayment },
  { name: "life before paying", off: { lifeBeforePaying: false }, scenario: sleepyPayment },
  { name: "calls given up", off: { callsGivenUp: false }, scenario: forsakenCall },
  { name: "source identity", off: { sourceIdentity: false }, scenario: changedSource },
  { name: "fsync of the file", off: { flushFile: false }, scenario: powerCut },
  { name: "fsync of the folder", off: { flushFolder: false }, scenario: powerCut },
];
