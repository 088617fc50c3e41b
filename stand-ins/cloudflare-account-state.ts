/** What the stand-in of a Cloudflare account holds, and how two of them are compared. */
import type { IncomingMessage } from "node:http";

export type TokenRight = "r2" | "queues";

export interface StandInRule {
  ruleId: string;
  createdAt: string;
  prefix: string;
  suffix: string;
  actions: string[];
  description: string;
}

export interface StandInBucket {
  name: string;
  jurisdiction: string;
  lifecycle: unknown[];
  cors: unknown[] | null;
  /** By queue id. */
  rules: Map<string, StandInRule[]>;
}

export interface StandInQueue {
  queue_id: string;
  queue_name: string;
  jurisdiction: string;
  settings: Record<string, unknown>;
  consumers: Record<string, unknown>[];
  producers: Record<string, unknown>[];
  /** The emulator's queue that its messages come from. */
  relayId: string | null;
}

/** What happens to a request instead of its answer: before it is done, or after. */
export interface StandInTrouble {
  when: "before" | "after";
  /** A status with an error, or a connection that is cut. */
  status: number | "cut";
  retryAfterSeconds?: number;
}

export interface StandInOptions {
  accountId?: string;
  /** Whether a PUT of event rules adds to what a queue has, or replaces it: nobody has documented it. */
  putRules?: "adds" | "replaces";
  relay?: { baseUrl: string; accountId: string; apiToken: string };
  isR2Enabled?: boolean;
  /** Called with the number of the request, from 1. */
  trouble?: (number: number, request: IncomingMessage) => StandInTrouble | null;
}

export interface CloudflareStandIn extends AsyncDisposable {
  /** With `/client/v4`. */
  baseUrl: string;
  accountId: string;
  buckets: StandInBucket[];
  queues: StandInQueue[];
  /** By token. */
  tokens: Map<string, TokenRight[]>;
  /** `METHOD /path` of everything that was asked. */
  asked: string[];
  addBucket(name: string, jurisdiction?: string): StandInBucket;
  addQueue(name: string, jurisdiction?: string): StandInQueue;
  setTrouble(trouble: StandInOptions["trouble"]): void;
  /** Everything but ids and times, sorted: two accounts are alike if this is the same. */
  describe(): unknown;
}

/** Without ids and times, sorted. */
export function describeAccount(
  buckets: readonly StandInBucket[],
  queues: readonly StandInQueue[],
): unknown {
  return {
    buckets: buckets.map(({ rules, ...bucket }) => ({
      ...bucket,
      rules: [...rules]
        .map(([id, each]) => ({
          queue: queues.find(({ queue_id: own }) => own === id)?.queue_name,
          rules: each
            .map(({ ruleId: _id, createdAt: _at, ...rule }) => rule)
            .toSorted((a, b) => (`${a.prefix}${a.suffix}` < `${b.prefix}${b.suffix}` ? -1 : 1)),
        }))
        .toSorted((a, b) => ((a.queue ?? "") < (b.queue ?? "") ? -1 : 1)),
    })),
    queues: queues
      .map(({ queue_id: _id, consumers, relayId: _relay, ...queue }) => ({
        ...queue,
        consumers: consumers.map(({ consumer_id: _consumer, ...consumer }) => consumer),
      }))
      .toSorted((a, b) => (a.queue_name < b.queue_name ? -1 : 1)),
  };
}
