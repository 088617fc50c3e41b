/**
 * The one builder of object keys. The bucket is the database, so a key is the only address there
 * is: what can't be built here can't be read or written. Every builder takes validated ids, and
 * `keysOf(user)` can't leave that user's prefixes.
 */
import { ClipscribeError } from "./errors.ts";
import { ItemId, JobId, Lane, RunNumber, Sha256, UserId } from "./ids.ts";
import type { RunnerId } from "./ids.ts";

declare const objectKey: unique symbol;
/** A key of the bucket: UTF-8, at most 1,024 bytes (R2's limit), without `.` and `..` segments. */
export type ObjectKey = string & { readonly [objectKey]: true };

/** R2's limit of a key's UTF-8 length: developers.cloudflare.com/r2/platform/limits. */
export const MAX_KEY_BYTES = 1024;

/** The claim of job-level stages: `items/_job.json`. Not an ItemId, so no drop can take it. */
export const JOB_ITEM = "_job";

const DEAD_MESSAGE = "_message.";

const publishedSegment = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,199}$/;

export interface UserKeys {
  inbox(lane: Lane): ObjectKey;
  ticket(lane: Lane, job: JobId, item: ItemId, run: number): ObjectKey;
  /** Of bare drops. */
  drops(): ObjectKey;
  source(sha256: Sha256, extension: string): ObjectKey;
  jobs(): ObjectKey;
  job(job: JobId): ObjectKey;
  metadata(job: JobId): ObjectKey;
  item(job: JobId, item: ItemId | typeof JOB_ITEM): ObjectKey;
  /** The log lines of one run of an item, JSON a line. */
  log(job: JobId, item: ItemId, run: number): ObjectKey;
  status(job: JobId): ObjectKey;
  results(job: JobId, item: ItemId): ObjectKey;
  result(job: JobId, item: ItemId, file: string): ObjectKey;
  /** Of the job as a whole, beside its items' folders: a name with a dot, which no item has. */
  jobResult(job: JobId, file: string): ObjectKey;
  cache(key: Sha256): ObjectKey;
  blob(sha256: Sha256): ObjectKey;
  /** Of all failed items. */
  deadItems(): ObjectKey;
  dead(job: JobId, item: ItemId): ObjectKey;
  /** Of all messages that wait. */
  outboxes(): ObjectKey;
  outbox(job: JobId, id: Sha256): ObjectKey;
  /** What became of a message that is over. */
  message(job: JobId, id: Sha256): ObjectKey;
  /** A message that can't be delivered. Not an item's, since no ItemId begins with `_`. */
  deadMessage(job: JobId, id: Sha256): ObjectKey;
  budget(day: Date): ObjectKey;
  /** The book of what a job may cost. */
  jobBudget(job: JobId): ObjectKey;
}

export function keysOf(userId: UserId): UserKeys {
  const user = UserId.parse(userId);
  return {
    inbox: (lane) => key("inbox", lane, user, ""),
    ticket: (lane, job, item, run) =>
      key("inbox", lane, user, job, `${item}.${RunNumber.parse(run)}.json`),
    drops: () => key("drops", user, ""),
    source: (sha256, extension) => key("sources", user, `${sha256}.${extensionOf(extension)}`),
    jobs: () => key("jobs", user, ""),
    job: (job) => key("jobs", user, job, ""),
    metadata: (job) => key("jobs", user, job, "metadata.json"),
    item: (job, item) => key("jobs", user, job, "items", `${item}.json`),
    log: (job, item, run) => key("jobs", user, job, "logs", `${item}.${run}.jsonl`),
    status: (job) => key("jobs", user, job, "status.json"),
    results: (job, item) => key("results", user, job, item, ""),
    result: (job, item, file) => key("results", user, job, item, ...publishedPath(file)),
    jobResult: (job, file) => key("results", user, job, ...jobLevelPath(file)),
    cache: (digest) => key("cache", user, `${digest}.json`),
    blob: (sha256) => key("blobs", user, sha256),
    deadItems: () => key("dead", user, ""),
    dead: (job, item) => key("dead", user, job, `${item}.json`),
    outboxes: () => key("outbox", user, ""),
    outbox: (job, id) => key("outbox", user, job, `${Sha256.parse(id)}.json`),
    message: (job, id) => key("jobs", user, job, "messages", `${Sha256.parse(id)}.json`),
    deadMessage: (job, id) => key("dead", user, job, `${DEAD_MESSAGE}${Sha256.parse(id)}.json`),
    jobBudget: (job) => key("jobs", user, job, "budget.json"),
    budget: (day) => key("budgets", user, `${day.toISOString().slice(0, 10)}.json`),
  };
}

export const systemKeys = {
  runners: key("sys", "runners", ""),
  runner: (runner: RunnerId): ObjectKey => key("sys", "runners", `${runner}.json`),
  sweep: key("sys", "sweep.json"),
  /** What a runner tries its store's conditions with, as it starts. */
  probes: key("sys", "probes", ""),
  probe: (id: string): ObjectKey => key("sys", "probes", id),
  /** A receiver that said it is gone, by the digest of its address. */
  webhook: (sha256: Sha256): ObjectKey => key("sys", "webhooks", `${sha256}.json`),
  poison: (sha256: Sha256): ObjectKey => key("sys", "poison", `${sha256}.json`),
  pipelineCurrent: key("pipelines", "current.json"),
  pipeline: (digest: Sha256, file: string): ObjectKey =>
    key("pipelines", digest, ...publishedPath(file)),
} as const;

/** Everything under which a user's keys lie: what a credential of theirs is limited to. */
export function prefixesOf(userId: UserId): ObjectKey[] {
  const user = UserId.parse(userId);
  const rooms = [
    "drops",
    "sources",
    "jobs",
    "results",
    "cache",
    "blobs",
    "dead",
    "outbox",
    "budgets",
  ];
  return [
    ...Lane.options.map((lane) => key("inbox", lane, user, "")),
    ...rooms.map((room) => key(room, user, "")),
  ];
}

/** No user's: `clipscribe cloud check` puts its own objects under it, and nobody works on them. */
export const CHECK_SEGMENT = "_check";

export const checkKeys = {
  bucket: (id: string, name: string): ObjectKey => key("sys", CHECK_SEGMENT, id, name),
  ticket: (lane: Lane, id: string): ObjectKey => key("inbox", lane, CHECK_SEGMENT, `${id}.json`),
  drop: (name: string): ObjectKey => key("drops", CHECK_SEGMENT, name),
} as const;

export function isCheckKey(text: string): boolean {
  return /^(?:inbox\/(?:urgent|batch)|drops)\/_check\//.test(text);
}

export interface TicketAddress {
  lane: Lane;
  user: UserId;
  job: JobId;
  item: ItemId;
  run: number;
}

/** Reads `inbox/{lane}/{user}/{job}/{item}.{run}.json`; anything else gives `undefined`. */
export function parseTicketKey(text: string): TicketAddress | undefined {
  const [inbox, lane, user, job, name, ...rest] = text.split("/");
  const match = /^(.+)\.(\d+)\.json$/.exec(name ?? "");
  if (inbox !== "inbox" || rest.length > 0 || match === null) return undefined;
  const parts = [
    Lane.safeParse(lane),
    UserId.safeParse(user),
    JobId.safeParse(job),
    ItemId.safeParse(match[1]),
    RunNumber.safeParse(Number(match[2])),
  ] as const;
  const [l, u, j, i, r] = parts;
  if (!l.success || !u.success || !j.success || !i.success || !r.success) return undefined;
  return { lane: l.data, user: u.data, job: j.data, item: i.data, run: r.data };
}

/** Reads `drops/{user}/{any name}`; anything else, and a key that can't be used, gives `undefined`. */
export function parseDropKey(text: string): { user: UserId; key: ObjectKey } | undefined {
  const [drops, user, ...name] = text.split("/");
  const owner = UserId.safeParse(user);
  if (drops !== "drops" || !owner.success || name.join("") === "") return undefined;
  try {
    return { user: owner.data, key: parseObjectKey(text) };
  } catch {
    return undefined;
  }
}

/** Reads `outbox/{user}/{job}/{id}.json`; anything else gives `undefined`. */
export function parseOutboxKey(text: string): { job: JobId; id: Sha256 } | undefined {
  const [outbox, , name, file = "", ...rest] = text.split("/");
  const job = JobId.safeParse(name).data;
  const id = Sha256.safeParse(file.replace(/\.json$/, "")).data;
  const isSound = outbox === "outbox" && rest.length === 0 && file.endsWith(".json");
  return isSound && job !== undefined && id !== undefined ? { job, id } : undefined;
}

export function isDeadMessageKey(text: string): boolean {
  return text.split("/").at(-1)?.startsWith(DEAD_MESSAGE) === true;
}

/**
 * Accepts a key that came from outside (a listing, an event).
 *
 * @throws `contract` for an empty, too long, absolute or climbing key, or one with control codes.
 */
export function parseObjectKey(text: string): ObjectKey {
  const segments = text.split("/");
  const climbs = segments.some((segment) => segment === "." || segment === "..");
  const empty = segments.slice(0, -1).includes("") || text === "";
  // oxlint-disable-next-line no-control-regex -- control codes are what is refused here
  const unsafe = /[\u0000-\u001f\u007f\\]/.test(text) || !text.isWellFormed();
  if (climbs || empty || unsafe || isTooLong(text)) {
    throw new ClipscribeError("contract", "not a usable object key", {
      details: { key: text.slice(0, 200) },
      hint: "rename the object; keys are relative paths of at most 1,024 bytes without . and ..",
    });
  }
  return text as ObjectKey;
}

/** Accepts the name of a published file: `report.md`, `chapters/one.vtt`. */
export function isPublishedName(file: string): boolean {
  const segments = file.split("/");
  return segments.length <= 3 && segments.every((segment) => publishedSegment.test(segment));
}

function publishedPath(file: string): string[] {
  if (isPublishedName(file)) return file.split("/");
  throw new ClipscribeError("contract", "not a usable name for a published file", {
    details: { file },
    hint: "use letters, digits, . _ and -, with no leading dot",
  });
}

function jobLevelPath(file: string): string[] {
  const [name = "", ...rest] = publishedPath(file);
  if (rest.length === 0 && name.includes(".")) return [name];
  throw new ClipscribeError("contract", "not a usable name for a job's own file", {
    details: { file },
    hint: "use a name with an extension and no folder",
  });
}

function extensionOf(extension: string): string {
  const plain = extension.toLowerCase();
  return /^[a-z0-9]{1,8}$/.test(plain) ? plain : "bin";
}

function key(...segments: string[]): ObjectKey {
  return parseObjectKey(segments.join("/"));
}

function isTooLong(text: string): boolean {
  // A UTF-16 code unit is at most three bytes of UTF-8: few keys need to be counted.
  if (text.length * 3 <= MAX_KEY_BYTES) return false;
  return new TextEncoder().encode(text).length > MAX_KEY_BYTES;
}
