/**
 * While `up` runs with a cloud: what a runner misses of this laptop's items is sent again, soon
 * after it is held. Jobs are asked about rarely, and for nothing while their rows stand still.
 */
import { asClipscribeError } from "../core/errors.ts";
import type { ItemId, JobId, UserId } from "../core/ids.ts";
import { keysOf } from "../core/keys.ts";
import { JobStatus } from "../core/records.ts";
import type { Clock } from "../ports/clock.ts";
import type { DropLedger } from "../ports/drop-ledger.ts";
import type { Etag } from "../ports/object-store.ts";
import type { Pipelines } from "../ports/pipelines.ts";
import type { CollectEvent } from "../sync/collect-awaited.ts";
import type { Machine } from "./compose.ts";
import { resendMissing } from "./resend-items.ts";

/** A replay from elsewhere can wait so long; 200 jobs then cost 860,000 reads a month (free: 10 million). */
const LOOK_MS = 10 * 60 * 1000;
/** Older ones are asked for by handing the same file in again. */
const MAX_JOBS = 200;

export interface ResendsOptions {
  machine: Machine;
  user: UserId;
  ledger: DropLedger;
  clock: Clock;
  pipelines: Pipelines;
  /** A sentence for the person at the laptop. */
  note: (text: string) => void;
  signal: AbortSignal;
}

export interface Resends extends AsyncDisposable {
  /** Hears what became of items that are awaited: one that is held is looked at at once. */
  hear(event: CollectEvent): void;
}

export function openResends(options: ResendsOptions): Resends {
  const { machine, user, ledger, clock, pipelines, note, signal } = options;
  const keys = keysOf(user);
  const etags = new Map<JobId, Etag>();
  const said = new Set<string>();
  const working = new Map<string, Promise<boolean>>();
  const listener = (): void => undefined;

  const sayOnce = (text: string): void => {
    if (said.has(text)) return;
    said.add(text);
    note(text);
  };

  /** Returns false where it has to be looked at again. */
  async function resend(job: JobId, item: ItemId): Promise<boolean> {
    const name = `${job}/${item}`;
    try {
      const context = { machine, user, pipelines, listener, signal };
      const sent = await resendMissing(context, job, item);
      if (sent.action === "leave")
        sayOnce(`${name} is held, and can't be helped from here: ${sent.why}`);
      if (sent.action !== "ticket" && sent.action !== "ended") return true;
      const kept = ledger.findJob(job);
      const known = kept?.items.find((each) => each.item === item);
      if (kept !== undefined && known !== undefined) {
        const { ticket, run } = sent;
        ledger.changeItem(kept.id, known.name, { ticket, run, outcome: null, fetched: false });
      }
      note(
        sent.action === "ticket"
          ? `${name}: a server missed what is here; it was sent again`
          : `${name}: a server missed what is here, and it can't be made again: ${sent.state.error?.message ?? ""}`,
      );
      return true;
    } catch (error) {
      if (!signal.aborted)
        sayOnce(`${name} can't be sent again now: ${asClipscribeError(error).message}`);
      return false;
    }
  }

  /** One at a time an item. */
  async function resendOnce(job: JobId, item: ItemId): Promise<boolean> {
    const name = `${job}/${item}`;
    const under = working.get(name) ?? resend(job, item).finally(() => working.delete(name));
    working.set(name, under);
    return under;
  }

  async function look(job: JobId): Promise<void> {
    const ifNoneMatch = etags.get(job);
    const found = await machine.store.get(keys.status(job), { ifNoneMatch, signal });
    if (found === undefined) return;
    const { rows } = JobStatus.parse(JSON.parse(Buffer.from(found.body).toString("utf8")));
    let isSettled = true;
    for (const [item, { status }] of Object.entries(rows)) {
      if (status === "held" && !(await resendOnce(job, item as ItemId))) isSettled = false;
    }
    if (isSettled) etags.set(job, found.etag);
  }

  async function loop(): Promise<void> {
    while (!signal.aborted) {
      for (const job of ledger.listRecentJobs(MAX_JOBS)) {
        // Not finished, or never begun; what can't be read is the audit's.
        await look(job).catch(() => undefined);
      }
      await clock.sleep(LOOK_MS, signal).catch(() => undefined);
    }
  }

  const looping = loop();
  return {
    hear(event) {
      if (event.type !== "result" || event.state.status !== "held") return;
      void resendOnce(event.job, event.state.item_id);
    },
    async [Symbol.asyncDispose]() {
      await looping;
      await Promise.all(working.values());
    },
  };
}
