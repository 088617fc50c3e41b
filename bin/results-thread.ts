/**
 * A thread that brings published files into the person's folder: flushing a thousand small ones takes a
 * quarter of a run's time, and the thread that works on the items has no part in it.
 */
import { parentPort, workerData } from "node:worker_threads";

import { openDiskStore } from "../adapters/disk/disk-store.ts";
import { toErrorRecord } from "../core/errors.ts";
import { fetchResults } from "../sync/fetch-results.ts";
import type { FetchAnswer, FetchRequest, ResultsPlace } from "./results-fetcher.ts";

const { root, user, resultsDir } = workerData as ResultsPlace;
const store = openDiskStore({ root });

parentPort?.on("message", ({ number, state }: FetchRequest) => {
  const say = (answer: FetchAnswer): void => parentPort?.postMessage(answer, []);
  fetchResults(store, user, state, resultsDir).then(
    ({ folder, keptAs }) => say({ number, folder, keptAs }),
    (error: unknown) => say({ number, error: toErrorRecord(error) }),
  );
});
