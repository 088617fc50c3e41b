/** Brings items' published files into the results folder; those of many items in a thread of their own. */
import { Worker } from "node:worker_threads";

import { fromErrorRecord } from "../core/errors.ts";
import type { ErrorRecord } from "../core/errors.ts";
import type { UserId } from "../core/ids.ts";
import type { ItemState } from "../core/records.ts";
import { fetchResults } from "../sync/fetch-results.ts";
import type { FetchedResults } from "../sync/fetch-results.ts";
import type { Machine } from "./compose.ts";
import { RESULTS_THREAD_PATH } from "./install.ts";
import type { Settings } from "./settings.ts";

/** From so many items on, what a thread saves is more than what its start takes. */
const MIN_ITEMS = 32;

export type Fetched = Pick<FetchedResults, "folder" | "keptAs">;
export type Publish = Pick<ItemState, "job_id" | "item_id" | "manifest">;

export interface ResultsPlace {
  /** Of the disk store. */
  root: string;
  user: UserId;
  resultsDir: string;
}

export interface FetchRequest {
  number: number;
  state: Publish;
}

export type FetchAnswer = { number: number } & (Fetched | { error: ErrorRecord });

export interface ResultsFetcher extends AsyncDisposable {
  /** @throws as `fetchResults`. */
  fetch(state: Publish): Promise<Fetched>;
}

export function openResultsFetcher(
  { store, storeFolder }: Pick<Machine, "store" | "storeFolder">,
  { user, results: resultsDir }: Pick<Settings, "user" | "results">,
  items: number,
): ResultsFetcher {
  const isMany = storeFolder !== null && items >= MIN_ITEMS;
  const thread = isMany ? openThread({ root: storeFolder, user, resultsDir }) : undefined;
  return {
    fetch: async (state) =>
      (await thread?.ask(state)) ?? (await fetchResults(store, user, state, resultsDir)),
    async [Symbol.asyncDispose]() {
      await thread?.end();
    },
  };
}

interface ResultsThread {
  /** Undefined where it has ended before it answered: what it left half done can be gone on with. */
  ask(state: Publish): Promise<Fetched | undefined>;
  end(): Promise<void>;
}

function openThread(place: ResultsPlace): ResultsThread {
  const thread = new Worker(RESULTS_THREAD_PATH, { workerData: place });
  const waiting = new Map<number, PromiseWithResolvers<Fetched | undefined>>();
  let count = 0;
  let hasEnded = false;
  const onEnd = (): void => {
    hasEnded = true;
    for (const { resolve } of waiting.values()) resolve(undefined);
    waiting.clear();
  };
  thread.on("error", onEnd).on("exit", onEnd);
  thread.on("message", (answer: FetchAnswer) => {
    const asked = waiting.get(answer.number);
    waiting.delete(answer.number);
    if ("error" in answer) asked?.reject(fromErrorRecord(answer.error));
    else asked?.resolve({ folder: answer.folder, keptAs: answer.keptAs });
  });
  return {
    async ask({ job_id, item_id, manifest }) {
      if (hasEnded) return undefined;
      const asked = Promise.withResolvers<Fetched | undefined>();
      const number = count++;
      waiting.set(number, asked);
      const state = { job_id, item_id, manifest };
      thread.postMessage({ number, state } satisfies FetchRequest, []);
      return asked.promise;
    },
    end: async () => void (await thread.terminate()),
  };
}
