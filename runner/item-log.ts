/**
 * The log lines of one run of an item, kept with it: `jobs/{user}/{job}/logs/{item}.{run}.jsonl`.
 * Bounded; what is cut is said. Details are data from outside and stay JSON.
 */
import type { ObjectKey } from "../core/keys.ts";
import { isKind } from "../core/errors.ts";
import type { Clock } from "../ports/clock.ts";
import { getIfPresent } from "../ports/get-if-present.ts";
import type { ObjectStore } from "../ports/object-store.ts";

/** More lines than this are noise of one stage; the first ones say what went wrong. */
const MAX_LINES = 2_000;
const MAX_LINE_CHARS = 4_000;
/** A claim that was lost may save its lines while the next one does. */
const MAX_RACES = 5;

export interface ItemLog {
  add(stage: string | null, level: string, message: string, details?: object): void;
  /** Appends what was added to what earlier attempts left. */
  save(signal?: AbortSignal): Promise<void>;
}

export function openItemLog(store: ObjectStore, key: ObjectKey, clock: Clock): ItemLog {
  let lines: string[] = [];
  let dropped = 0;
  return {
    add(stage, level, message, details = {}) {
      if (lines.length >= MAX_LINES) {
        dropped++;
        return;
      }
      const line = JSON.stringify({
        at: clock.now().toISOString(),
        stage,
        level,
        message,
        ...details,
      });
      lines.push(
        line.length <= MAX_LINE_CHARS
          ? line
          : JSON.stringify({ stage, level, message: message.slice(0, 1_000), cut: true }),
      );
    },
    async save(signal) {
      if (lines.length === 0) return;
      if (dropped > 0) lines.push(JSON.stringify({ level: "warn", message: "lines cut", dropped }));
      const added = `${lines.join("\n")}\n`;
      lines = [];
      for (let race = 1; ; race++) {
        // What can't be read now is there all the same, and not to be written over.
        const earlier = await getIfPresent(store, key, { signal });
        const kept = earlier === undefined ? "" : Buffer.from(earlier.body).toString("utf8");
        const put = { ifMatch: earlier?.etag ?? null, signal, durability: "recomputable" } as const;
        try {
          await store.put(key, Buffer.from(kept + added), put);
          return;
        } catch (error) {
          if (!isKind(error, "conflict") || race >= MAX_RACES) throw error;
        }
      }
    },
  };
}
