/**
 * A person says that a job's held items may cost what they were estimated to. The amounts go into
 * the job's `control`, and each held item gets the ticket of its next run: nothing else changes.
 */
import { ClipscribeError, isKind } from "../core/errors.ts";
import type { JobId, Sha256, UserId } from "../core/ids.ts";
import { keysOf } from "../core/keys.ts";
import type { ObjectKey } from "../core/keys.ts";
import { approvedUsd, committedUsd } from "../core/money.ts";
import { BudgetBook, Metadata } from "../core/records.ts";
import type { Ticket } from "../core/records.ts";
import type { Clock } from "../ports/clock.ts";
import type { Etag, ObjectStore } from "../ports/object-store.ts";
import { readItemStates } from "./item-states.ts";
import { putRecordIfAbsent, readRecord } from "./stored-records.ts";

const MAX_RACES = 5;

export interface Approval {
  /** Items that were held for money: their next tickets, and what each may cost in all. */
  items: { item: string; ticket: ObjectKey; limitUsd: number }[];
  /** What the job may cost in all, with what it has cost. */
  jobUsd: number;
}

export interface ApprovalRequest {
  user: UserId;
  job: JobId;
  /** USD an item; null: what each was estimated to cost. */
  budgetUsd: number | null;
  /**
   * The pipeline that will go on with them: an approved run keeps the one it was held under. Null
   * where that is for the runners to know.
   */
  pipelineDigest: Sha256 | null;
}

/** @throws `missing` where there is no such job; `config` where its pipeline has changed since. */
export async function approveJob(
  store: ObjectStore,
  clock: Clock,
  { user, job, budgetUsd, pipelineDigest }: ApprovalRequest,
): Promise<Approval> {
  const keys = keysOf(user);
  const { metadata } = await readMetadata(store, keys.metadata(job), job);
  const held = (await readItemStates(store, user, metadata)).filter(
    ({ status, error }) => status === "held" && error?.kind === "budget",
  );
  const isOther = (digest: Sha256 | null): boolean =>
    pipelineDigest !== null && digest !== pipelineDigest;
  if (held.some(({ pipeline_digest: digest }) => isOther(digest))) {
    throw new ClipscribeError("config", "the pipeline has changed since the job was held", {
      hint: "run the same files again with --budget USD: what is paid for is kept",
    });
  }
  const limits = held.map((state) => budgetUsd ?? approvedUsd(state.estimate_usd ?? state.cost));
  const book = await readRecord(store, keys.jobBudget(job), BudgetBook);
  const spentUsd = book === undefined ? 0 : committedUsd(book.value);
  const jobUsd = limits.reduce((sum, usd) => sum + usd, spentUsd);
  if (held.length > 0) await allow(store, keys.metadata(job), job, Math.max(...limits), jobUsd);
  const items: Approval["items"] = [];
  for (const [index, { item_id: item, input, run }] of held.entries()) {
    if (input === null) continue;
    const next: Ticket = {
      ...input,
      resends: 0,
      run: run + 1,
      created_at: clock.now().toISOString(),
    };
    const ticket = keys.ticket(input.lane, job, item, run + 1);
    // Approved twice: the first ticket is the same.
    await putRecordIfAbsent(store, ticket, next);
    items.push({ item, ticket, limitUsd: limits[index] ?? 0 });
  }
  return { items, jobUsd };
}

async function allow(
  store: ObjectStore,
  key: ObjectKey,
  job: JobId,
  itemUsd: number,
  jobUsd: number,
): Promise<void> {
  for (let race = 0; ; race++) {
    const { metadata, etag } = await readMetadata(store, key, job);
    const control = {
      state: "run" as const,
      budget_usd: Math.max(itemUsd, metadata.control.budget_usd ?? 0),
      approved_usd: jobUsd,
    };
    const body = Buffer.from(JSON.stringify({ ...metadata, control }));
    try {
      await store.put(key, body, { ifMatch: etag });
      return;
    } catch (error) {
      if (!isKind(error, "conflict") || race >= MAX_RACES) throw error;
    }
  }
}

async function readMetadata(
  store: ObjectStore,
  key: ObjectKey,
  job: JobId,
): Promise<{ metadata: Metadata; etag: Etag }> {
  const found = await readRecord(store, key, Metadata);
  if (found !== undefined) return { metadata: found.value, etag: found.etag };
  throw new ClipscribeError("missing", "there is no such job", {
    details: { job },
    hint: "copy the job's id from the message that said it is held, or from the results folder",
  });
}
