/** Brings items' published files into the results folder; those of many items in a thread of their own. */
import { Worker } from "node:worker_threads";

import { ClipscribeError, fromErrorRecord } from "../core/errors.ts";
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
  if (storeFolder !== null && items >= MIN_ITEMS) {
    return openThread({ root: storeFolder, user, resultsDir });
  }
  return {
    fetch: async (state) => fetchResults(store, user, state, resultsDir),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

function openThread(place: ResultsPlace): ResultsFetcher {
  const thread = new Worker(RESULTS_THREAD_PATH, { workerData: place });
  const waiting = new Map<number, PromiseWithResolvers<Fetched>>();
  let count = 0;
  let ended: ClipscribeError | undefined;
  const end = (cause: unknown): void => {
    ended ??= new ClipscribeError("transient", "the thread that brings results has ended", {
      hint: "run again: the store has them",
      cause,
    });
    for (const { reject } of waiting.values()) reject(ended);
    waiting.clear();
  };
  thread.on("error", end).on("exit", () => end(undefined));
  thread.on("message", (answer: FetchAnswer) => {
    const asked = waiting.get(answer.number);
    waiting.delete(answer.number);
    if ("error" in answer) asked?.reject(fromErrorRecord(answer.error));
    else asked?.resolve({ folder: answer.folder, keptAs: answer.keptAs });
  });
  return {
    async fetch({ job_id, item_id, manifest }) {
      if (ended !== undefined) throw ended;
      const asked = Promise.withResolvers<Fetched>();
      const number = count++;
      waiting.set(number, asked);
      const state = { job_id, item_id, manifest };
      thread.postMessage({ number, state } satisfies FetchRequest, []);
      return asked.promise;
    },
    async [Symbol.asyncDispose]() {
      await thread.terminate();
    },
  };
}
