/**
 * What an account costs a month, by Cloudflare's price list (developers.cloudflare.com/r2/pricing,
 * /queues/platform/pricing, both of 2026) and by our own counts of operations (`make bench-cost`).
 */

export interface MonthlyUse {
  runners: number;
  itemsPerDay: number;
}

export interface MonthlyCost extends MonthlyUse {
  storedGb: number;
  classA: number;
  classB: number;
  queueOperationsPerDay: number;
  storageUsd: number;
  operationsUsd: number;
  queueUsd: number;
  totalUsd: number;
  /** More queue operations than Workers Free has: the paid plan's own fee comes on top. */
  needsWorkersPaid: boolean;
}

/** `make bench-cost`: an item of the whole pipeline, every file published. */
const ITEM = { classA: 75, classB: 40, queue: 3 };
/** A month of a runner that waits, by the defaults: liveness, sweep, pulls. */
const RUNNER = { classA: 691_200, classB: 43_200, queuePerDay: 7_000 };
/** An hour of video as people film it, what is made of it, and its sound. */
const SOURCE_GB = 0.5;
const RESULT_GB = 0.03;
const BLOB_GB = 0.05;
/** Results stay; a year of them is assumed. */
const RESULT_DAYS = 365;

const FREE = { gb: 10, classA: 1_000_000, classB: 10_000_000, queuePerDay: 10_000 };
const PAID_QUEUE_FREE = 1_000_000;
const USD = { gb: 0.015, classAMillion: 4.5, classBMillion: 0.36, queueMillion: 0.4 };
const DAYS = 30;

export function monthlyCost(
  { runners, itemsPerDay }: MonthlyUse,
  retention: { sourceDays: number; blobDays: number },
): MonthlyCost {
  const items = itemsPerDay * DAYS;
  const storedGb =
    itemsPerDay *
    (SOURCE_GB * retention.sourceDays + BLOB_GB * retention.blobDays + RESULT_GB * RESULT_DAYS);
  const classA = runners * RUNNER.classA + items * ITEM.classA;
  const classB = runners * RUNNER.classB + items * ITEM.classB;
  const queueOperationsPerDay = runners * RUNNER.queuePerDay + itemsPerDay * ITEM.queue;
  const needsWorkersPaid = queueOperationsPerDay > FREE.queuePerDay;
  const storageUsd = beyond(storedGb, FREE.gb, 1) * USD.gb;
  const operationsUsd =
    beyond(classA, FREE.classA, 1e6) * USD.classAMillion +
    beyond(classB, FREE.classB, 1e6) * USD.classBMillion;
  const queueUsd = needsWorkersPaid
    ? (Math.max(0, queueOperationsPerDay * DAYS - PAID_QUEUE_FREE) / 1e6) * USD.queueMillion
    : 0;
  return {
    runners,
    itemsPerDay,
    storedGb: Math.round(storedGb),
    classA,
    classB,
    queueOperationsPerDay,
    storageUsd,
    operationsUsd,
    queueUsd,
    totalUsd: storageUsd + operationsUsd + queueUsd,
    needsWorkersPaid,
  };
}

/** Begun units count as whole ones: R2 rounds up. */
function beyond(used: number, free: number, unit: number): number {
  return Math.ceil(Math.max(0, used - free) / unit);
}
