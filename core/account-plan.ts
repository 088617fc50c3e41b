/**
 * What has to be done so that an account is as wanted: decided from what was found, and from
 * nothing else. So a setup that was interrupted anywhere is taken up where it is. There is no
 * action that deletes: what is too much, or somebody else's, is a problem for a person.
 */
import { ClipscribeError } from "./errors.ts";
import type { Lane } from "./ids.ts";
import type { Jurisdiction } from "./r2-endpoint.ts";
import { BUCKET_ROOMS, LANES, MAX_DELIVERIES, expiringPrefixes } from "./account-wanted.ts";
import type { CorsRule, LifecycleRule, WantedAccount, WantedRule } from "./account-wanted.ts";

export interface FoundConsumer {
  id: string;
  /** `http_pull` or `worker`; others may come. */
  type: string;
  /** Of a worker's consumer: its script. */
  script?: string | undefined;
  maxRetries?: number | undefined;
}

export interface FoundProducer {
  type: string;
  /** Bucket or script. */
  name?: string | undefined;
}

export interface FoundQueue {
  id: string;
  name: string;
  jurisdiction?: string | undefined;
  isPaused: boolean;
  consumers: readonly FoundConsumer[];
  producers: readonly FoundProducer[];
}

export interface FoundRule {
  ruleId: string;
  queueId: string;
  queueName: string;
  prefix: string;
  suffix: string;
  actions: readonly string[];
  description: string;
}

export interface FoundAccount {
  /** Null: there is none of this name where it is wanted. */
  bucket: {
    rules: readonly FoundRule[];
    lifecycle: readonly LifecycleRule[];
    cors: readonly CorsRule[];
  } | null;
  /** Other jurisdictions that have a bucket of this name. */
  elsewhere: readonly Jurisdiction[];
  queues: Readonly<Record<Lane, FoundQueue | null>>;
  /** A key that is none of ours; null: there is none; undefined: nobody looked. */
  foreignKey: string | null | undefined;
}

export type AccountAction =
  | { do: "create-bucket"; bucket: string; jurisdiction: Jurisdiction }
  | { do: "create-queue"; lane: Lane; name: string }
  | { do: "create-consumer"; lane: Lane; name: string; queueId: string | null }
  | {
      do: "put-rules";
      lane: Lane;
      name: string;
      queueId: string | null;
      add: readonly WantedRule[];
      /** What this queue has already: whether a PUT adds or replaces is not documented. */
      keep: readonly FoundRule[];
    }
  | { do: "put-lifecycle"; rules: readonly LifecycleRule[]; add: readonly string[] }
  | { do: "put-cors"; rules: readonly CorsRule[]; add: number };

export interface AccountProblem {
  message: string;
  hint: string;
}

export interface AccountPlan {
  actions: AccountAction[];
  /** Nothing is done while there is one. */
  problems: AccountProblem[];
  /** Works, but a person may want to know. */
  notes: string[];
}

export function planAccount(wanted: WantedAccount, found: FoundAccount): AccountPlan {
  const problems = [
    ...bucketProblems(wanted, found),
    ...LANES.flatMap((lane) => queueProblems(wanted, lane, found.queues[lane])),
    ...ruleProblems(wanted, found),
    ...expiryProblems(wanted, found),
  ];
  const actions: AccountAction[] = [];
  const { bucket, jurisdiction } = wanted;
  if (found.bucket === null) actions.push({ do: "create-bucket", bucket, jurisdiction });
  for (const lane of LANES) {
    const name = wanted.queues[lane];
    const queue = found.queues[lane];
    const queueId = queue?.id ?? null;
    if (queue === null) actions.push({ do: "create-queue", lane, name });
    if (queue === null || queue.consumers.length === 0) {
      actions.push({ do: "create-consumer", lane, name, queueId });
    }
    const keep = (found.bucket?.rules ?? []).filter((rule) => rule.queueId === queueId);
    const add = wanted.rules.filter((rule) => rule.lane === lane && !hasRule(keep, rule));
    if (add.length > 0) actions.push({ do: "put-rules", lane, name, queueId, add, keep });
  }
  const lifecycle = mergeLifecycle(wanted.lifecycle, found.bucket?.lifecycle ?? []);
  if (lifecycle !== undefined) actions.push({ do: "put-lifecycle", ...lifecycle });
  const cors = mergeCors(wanted.cors, found.bucket?.cors ?? []);
  if (cors !== undefined) actions.push({ do: "put-cors", ...cors });
  return { actions, problems, notes: notesOn(wanted, found) };
}

/** One error with every problem in it. */
export function accountRefusal(problems: readonly AccountProblem[]): ClipscribeError {
  const message = problems.map((problem) => problem.message).join("; ");
  const hint = problems.map((problem) => problem.hint).join("; ");
  return new ClipscribeError("config", message, { hint });
}

/** R2 refuses rules of which two could fire for one object, whatever their actions are. */
export function isOverlapping(
  a: { prefix: string; suffix: string },
  b: { prefix: string; suffix: string },
): boolean {
  const prefixes = a.prefix.startsWith(b.prefix) || b.prefix.startsWith(a.prefix);
  return prefixes && (a.suffix.endsWith(b.suffix) || b.suffix.endsWith(a.suffix));
}

function isSameRange(a: { prefix: string; suffix: string }, b: typeof a): boolean {
  return a.prefix === b.prefix && a.suffix === b.suffix;
}

function hasRule(found: readonly FoundRule[], wanted: WantedRule): boolean {
  return found.some(
    (rule) =>
      isSameRange(rule, wanted) && wanted.actions.every((action) => rule.actions.includes(action)),
  );
}

function bucketProblems(wanted: WantedAccount, found: FoundAccount): AccountProblem[] {
  const problems: AccountProblem[] = [];
  const [elsewhere] = found.elsewhere;
  if (found.bucket === null && elsewhere !== undefined) {
    problems.push({
      message: `the bucket ${wanted.bucket} is in the jurisdiction ${elsewhere}, not in ${wanted.jurisdiction}`,
      hint: `set CLOUDFLARE_JURISDICTION=${elsewhere}, or name another bucket in CLIPSCRIBE_STORE`,
    });
  }
  if (typeof found.foreignKey === "string") {
    problems.push({
      message: `the bucket ${wanted.bucket} holds objects that are not ClipScribe's, as ${JSON.stringify(found.foreignKey)}`,
      hint: "name a bucket of its own in CLIPSCRIBE_STORE: old sources and blobs in it are removed in time",
    });
  }
  return problems;
}

function queueProblems(
  wanted: WantedAccount,
  lane: Lane,
  queue: FoundQueue | null,
): AccountProblem[] {
  if (queue === null) return [];
  const problems: AccountProblem[] = [];
  const another = "name another bucket (its queues are named after it), or";
  const other = queue.consumers.find(({ type }) => type !== "http_pull");
  if (other !== undefined) {
    const who = other.script === undefined ? other.type : `${other.type} ${other.script}`;
    problems.push({
      message: `the queue ${queue.name} has another consumer: ${who}`,
      hint: `${another} remove that consumer: a queue has one`,
    });
  }
  const producer = queue.producers.find(
    ({ type, name }) => !/r2/i.test(type) || (name !== undefined && name !== wanted.bucket),
  );
  if (producer !== undefined) {
    problems.push({
      message:
        `the queue ${queue.name} takes messages of ${producer.type} ${producer.name ?? ""}`.trimEnd(),
      hint: `${another} let that send elsewhere`,
    });
  }
  const jurisdiction = queue.jurisdiction ?? "default";
  if (jurisdiction !== wanted.jurisdiction && queue.jurisdiction !== undefined) {
    problems.push({
      message: `the queue ${queue.name} is in the jurisdiction ${jurisdiction}, not in ${wanted.jurisdiction}`,
      hint: `${another} set CLOUDFLARE_JURISDICTION=${jurisdiction}: a queue's can't be changed`,
    });
  }
  return problems;
}

/** Each wanted range is free, or has the wanted rule on our own queue. */
function ruleProblems(wanted: WantedAccount, found: FoundAccount): AccountProblem[] {
  const problems: AccountProblem[] = [];
  const told = new Set<string>();
  for (const rule of found.bucket?.rules ?? []) {
    const met = wanted.rules.filter((each) => isOverlapping(each, rule));
    const isOurs = met.some(
      (each) => rule.queueId === found.queues[each.lane]?.id && hasRule([rule], each),
    );
    const [first] = met;
    if (first === undefined || isOurs || told.has(rule.ruleId)) continue;
    told.add(rule.ruleId);
    const range = `${rule.prefix}*${rule.suffix}`;
    problems.push({
      message: `an event rule is in the way: ${range} to the queue ${rule.queueName} (rule ${rule.ruleId})`,
      hint: `delete that rule, or name another bucket: it overlaps ${first.prefix}*${first.suffix}, and R2 takes one rule an object`,
    });
  }
  return problems;
}

/** A rule of others' that would remove what is to stay, or remove it too early. */
function expiryProblems(wanted: WantedAccount, found: FoundAccount): AccountProblem[] {
  const ours = new Set(wanted.lifecycle.map(({ id }) => id));
  return (found.bucket?.lifecycle ?? []).flatMap((rule) => {
    if (!rule.enabled || rule.deleteObjectsTransition === undefined || ours.has(rule.id)) return [];
    const prefix = rule.conditions.prefix ?? "";
    const isOurRoom = BUCKET_ROOMS.some(
      (room) => room.startsWith(prefix) || prefix.startsWith(room),
    );
    if (!isOurRoom) return [];
    return [
      {
        message: `the lifecycle rule ${JSON.stringify(rule.id)} removes objects under ${JSON.stringify(prefix)}`,
        hint: "disable that rule, or name another bucket: it would remove results or states",
      },
    ];
  });
}

/** Returns undefined where nothing is missing. Others' rules stay. */
function mergeLifecycle(
  wanted: readonly LifecycleRule[],
  found: readonly LifecycleRule[],
): { rules: LifecycleRule[]; add: string[] } | undefined {
  const missing = wanted.filter((rule) => !found.some((each) => isSameLifecycle(each, rule)));
  if (missing.length === 0) return undefined;
  const replaced = new Set(missing.map(({ id }) => id));
  const kept = found.filter(({ id }) => !replaced.has(id));
  return { rules: [...kept, ...missing], add: missing.map(({ id }) => id) };
}

function isSameLifecycle(a: LifecycleRule, b: LifecycleRule): boolean {
  const age = (rule: LifecycleRule): unknown[] => [
    rule.deleteObjectsTransition?.condition.maxAge,
    rule.abortMultipartUploadsTransition?.condition.maxAge,
    rule.conditions.prefix ?? "",
  ];
  return a.id === b.id && a.enabled === b.enabled && age(a).join() === age(b).join();
}

function mergeCors(
  wanted: readonly CorsRule[],
  found: readonly CorsRule[],
): { rules: CorsRule[]; add: number } | undefined {
  const missing = wanted.filter((rule) => !found.some((each) => isSameCors(each, rule)));
  if (missing.length === 0) return undefined;
  const replaced = new Set(missing.map(({ id }) => id));
  const kept = found.filter(({ id }) => id === undefined || !replaced.has(id));
  return { rules: [...kept, ...missing], add: missing.length };
}

function isSameCors({ allowed }: CorsRule, wanted: CorsRule): boolean {
  const has = (list: readonly string[], each: string): boolean =>
    list.some((one) => one === "*" || one.toLowerCase() === each.toLowerCase());
  return (
    wanted.allowed.origins.every((each) => has(allowed.origins, each)) &&
    wanted.allowed.methods.every((each) => has(allowed.methods, each)) &&
    (wanted.allowed.headers ?? []).every((each) => has(allowed.headers ?? [], each))
  );
}

function notesOn(wanted: WantedAccount, found: FoundAccount): string[] {
  const notes: string[] = [];
  for (const lane of LANES) {
    const queue = found.queues[lane];
    if (queue?.isPaused === true) notes.push(`the queue ${queue.name} is paused: resume it`);
    const few = queue?.consumers.find(
      ({ maxRetries = MAX_DELIVERIES }) => maxRetries < MAX_DELIVERIES,
    );
    if (few !== undefined) {
      notes.push(
        `${queue?.name} gives a message up after ${few.maxRetries} deliveries: the sweep heals it`,
      );
    }
    for (const rule of found.bucket?.rules ?? []) {
      if (rule.queueId !== queue?.id) continue;
      const own = wanted.rules.find((each) => isSameRange(each, rule));
      const extra = rule.actions.filter((action) => own?.actions.includes(action) === false);
      const isTwice = (found.bucket?.rules ?? []).some(
        (each) => each !== rule && each.queueId === rule.queueId && isSameRange(each, rule),
      );
      if (isTwice) {
        notes.push(`${rule.prefix}*${rule.suffix} is told twice (rule ${rule.ruleId}): delete one`);
      }
      if (own === undefined) {
        notes.push(`${queue.name} also hears of ${rule.prefix}*${rule.suffix}: left as it is`);
      } else if (extra.length > 0) {
        notes.push(
          `${rule.prefix}*${rule.suffix} also tells of ${extra.join(", ")}: more messages, no harm`,
        );
      }
    }
  }
  if (found.foreignKey === undefined && found.bucket !== null) {
    const prefixes = expiringPrefixes(wanted).join(", ");
    notes.push(
      `nobody looked for other people's objects under ${prefixes}: set R2_ACCESS_KEY_ID and R2_SECRET_ACCESS_KEY`,
    );
  }
  return notes;
}
