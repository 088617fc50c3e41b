/** The peers are installed beside the project, never among its packages. */
import { createRequire } from "node:module";
import { join } from "node:path";

const requirePeer = createRequire(join(import.meta.dirname, "..", "..", ".tools", "peers", "x.js"));

export interface GraphileUtils {
  addJob(task: string, payload: unknown): Promise<unknown>;
  addJobs(jobs: { identifier: string; payload: unknown }[]): Promise<unknown>;
  migrate(): Promise<void>;
  release(): Promise<void>;
}

export interface Graphile {
  run(options: object): Promise<{ promise: Promise<void>; stop(): Promise<void> }>;
  makeWorkerUtils(options: { connectionString: string }): Promise<GraphileUtils>;
}

export interface BullMq {
  Queue: new (
    name: string,
    options: object,
  ) => {
    add(name: string, data: unknown): Promise<unknown>;
    close(): Promise<void>;
  };
  Worker: new (
    name: string,
    work: (job: { data: { id: string } }) => Promise<void>,
    options: object,
  ) => unknown;
}

export const loadGraphile = (): Graphile => requirePeer("graphile-worker") as Graphile;
export const loadBullMq = (): BullMq => requirePeer("bullmq") as BullMq;
