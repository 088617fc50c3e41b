/**
 * Whether everything that was dropped is accounted for: every item of every job has exactly one
 * place to be, and what is published is there, whole. Reads only.
 */
import { sha256Of } from "../core/digest.ts";
import { isKind } from "../core/errors.ts";
import type { ItemId, JobId, UserId } from "../core/ids.ts";
import { hasEnded, isOutcome } from "../core/item-state.ts";
import { keysOf, parseTicketKey } from "../core/keys.ts";
import type { ObjectKey } from "../core/keys.ts";
import { ItemState, JobStatus, Manifest, Metadata } from "../core/records.ts";
import { getIfPresent } from "../ports/get-if-present.ts";
import type { ObjectStore } from "../ports/object-store.ts";
import { countDrops } from "./audit-drops.ts";
import { describeMessages, problemOfEnd } from "./audit-messages.ts";
import { readRecord } from "./stored-records.ts";

export interface Audit {
  jobs: number;
  /** Items that people dropped. */
  dropped: number;
  /** Items by where they are; their sum is `dropped` where nothing is lost. */
  counts: Record<string, number>;
  /** What does not add up, a line each. */
  problems: string[];
  /** What adds up and needs a person all the same. */
  notes: string[];
}

const READS_AT_ONCE = 16;

export async function auditJobs(
  store: ObjectStore,
  user: UserId,
  wanted: readonly JobId[] | null,
  /** Endings of what a bare drop may be; none: drops are not looked at. */
  accept: readonly string[] = [],
): Promise<Audit> {
  const keys = keysOf(user);
  const audit: Audit = { jobs: 0, dropped: 0, counts: {}, problems: [], notes: [] };
  const tickets = await readTickets(store, user);
  const jobs = wanted ?? (await listJobs(store, user));
  for (const job of jobs) {
    audit.jobs++;
    const metadata = await readOrNote(store, keys.metadata(job), Metadata, audit);
    if (metadata === undefined) {
      audit.problems.push(`${job}: there is no record of what was submitted`);
      continue;
    }
    const status = await readOrNote(store, keys.status(job), JobStatus, audit);
    const queue = metadata.items.values();
    const worker = async (): Promise<void> => {
      for (const { item_id: item } of queue) {
        await auditItem({ store, user, audit, tickets, status }, job, item);
      }
    };
    await Promise.all(Array.from({ length: READS_AT_ONCE }, worker));
    const isWaiting = metadata.items.some(({ item_id: item }) => tickets.has(`${job}/${item}`));
    const problem = isWaiting ? undefined : await problemOfEnd(store, user, metadata, status);
    if (problem !== undefined) audit.problems.push(problem);
  }
  audit.notes.push(...(await describeMessages(store, user, wanted)));
  if (wanted === null && accept.length > 0) {
    await auditDrops(store, user, { accept, jobs: new Set(jobs) }, audit);
  }
  const sum = Object.values(audit.counts).reduce((all, count) => all + count, 0);
  if (sum !== audit.dropped) {
    audit.problems.push(`${audit.dropped} items were dropped, ${sum} are accounted for`);
  }
  return audit;
}

async function auditDrops(
  store: ObjectStore,
  user: UserId,
  known: Parameters<typeof countDrops>[2],
  audit: Audit,
): Promise<void> {
  const { waiting, rejected } = await countDrops(store, user, known);
  audit.dropped += waiting + rejected.length;
  if (waiting > 0) audit.counts["waiting in drops/"] = waiting;
  if (rejected.length > 0) audit.counts["rejected"] = rejected.length;
  for (const key of rejected)
    audit.notes.push(`${key}: rejected, its name can't be used; rename it`);
}

interface AuditContext {
  store: ObjectStore;
  user: UserId;
  audit: Audit;
  /** Runs that wait, by `job/item`. */
  tickets: ReadonlyMap<string, readonly number[]>;
  status: JobStatus | undefined;
}

async function auditItem(context: AuditContext, job: JobId, item: ItemId): Promise<void> {
  const { store, user, audit, tickets, status } = context;
  const name = `${job}/${item}`;
  audit.dropped++;
  const state = await readOrNote(store, keysOf(user).item(job, item), ItemState, audit);
  const waiting = tickets.get(name) ?? [];
  if (state === undefined) {
    count(audit, waiting.length > 0 ? "queued" : "not handed over");
    return;
  }
  count(audit, state.status);
  const isWaiting = waiting.some((run) => run >= state.run);
  if (!hasEnded(state)) {
    if (!isWaiting) audit.problems.push(`${name}: ${state.status}, and no ticket says so`);
    return;
  }
  // A tail is under way, or a new run is asked for.
  if (isWaiting) return;
  const row = status?.rows[item];
  if (row?.run !== state.run || row.status !== state.status) {
    audit.problems.push(
      `${name}: is ${state.status}, but the job's row says ${row?.status ?? "nothing"}`,
    );
  }
  if (state.status === "failed" && (await store.head(keysOf(user).dead(job, item))) === undefined) {
    audit.problems.push(`${name}: failed, and dead/ does not say why`);
  }
  if (isOutcome(state.status) && state.manifest !== null) {
    await auditPublished(context, job, item, state);
  }
}

/** The manifest is the one that the state names, and each file has its bytes' size. */
async function auditPublished(
  { store, user, audit }: AuditContext,
  job: JobId,
  item: ItemId,
  state: ItemState,
): Promise<void> {
  const keys = keysOf(user);
  const name = `${job}/${item}`;
  const shown = await getIfPresent(store, keys.result(job, item, "manifest.json"));
  if (shown === undefined || sha256Of(shown.body) !== state.manifest?.sha256) {
    audit.problems.push(`${name}: results/ shows another manifest than the one that is published`);
    return;
  }
  const { files } = Manifest.parse(JSON.parse(Buffer.from(shown.body).toString("utf8")));
  for (const { path, size } of files) {
    const there = await store.head(keys.result(job, item, path));
    if (there?.sizeBytes !== size)
      audit.problems.push(`${name}: ${path} is not what was published`);
  }
}

function count(audit: Audit, where: string): void {
  audit.counts[where] = (audit.counts[where] ?? 0) + 1;
}

export async function listJobs(store: ObjectStore, user: UserId): Promise<JobId[]> {
  const prefix = keysOf(user).jobs();
  const jobs = new Set<JobId>();
  for await (const { key } of store.list(prefix)) {
    jobs.add(key.slice(prefix.length).split("/")[0] as JobId);
  }
  return [...jobs];
}

async function readTickets(store: ObjectStore, user: UserId): Promise<Map<string, number[]>> {
  const tickets = new Map<string, number[]>();
  for (const lane of ["urgent", "batch"] as const) {
    for await (const { key } of store.list(keysOf(user).inbox(lane))) {
      const address = parseTicketKey(key);
      if (address === undefined) continue;
      const name = `${address.job}/${address.item}`;
      tickets.set(name, [...(tickets.get(name) ?? []), address.run]);
    }
  }
  return tickets;
}

/** One that can't be read is a problem of the audit, not its end. */
async function readOrNote<Value>(
  store: ObjectStore,
  key: ObjectKey,
  schema: { parse(value: unknown): Value },
  audit: Audit,
): Promise<Value | undefined> {
  try {
    return (await readRecord(store, key, schema))?.value;
  } catch (error) {
    if (!isKind(error, "contract")) throw error;
    audit.problems.push(`${key}: can't be read`);
    return undefined;
  }
}
