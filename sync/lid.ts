/**
 * What a person is told about closing the laptop. Pure: the agent and `batch submit` say the same
 * words for the same facts. Only one of the answers is "safe", and it needs both: every item's
 * ticket durable in the bucket, and a runner elsewhere that was alive a moment ago.
 */

/** A runner that was seen so long ago counts as alive: it writes its record every minute when idle. */
export const SERVER_ALIVE_MS = 2 * 60_000;

export interface LidFacts {
  /** The work is done by this machine. */
  isEmbedded: boolean;
  /** Items that are not handed off yet: to be downloaded, prepared, uploaded. */
  toHandOff: number;
  /** Items that have a ticket and no outcome yet. */
  underWay: number;
  /** For what keeps the lid open; null where nothing tells. */
  minutesLeft: number | null;
  /** When a runner of another machine was last alive, on this machine's clock; null: never seen. */
  serverSeenAt: Date | null;
  now: Date;
}

export type LidAdvice =
  /** Nothing is under way. */
  | { lid: "idle" }
  | { lid: "keep-open"; why: "embedded" | "uploading"; items: number; minutes: number | null }
  | { lid: "safe" }
  | { lid: "no-server"; seenAt: Date | null };

export function adviseLid(facts: LidFacts): LidAdvice {
  const { isEmbedded, toHandOff, underWay, minutesLeft, serverSeenAt, now } = facts;
  const items = isEmbedded ? toHandOff + underWay : toHandOff;
  const minutes = minutesLeft === null ? null : Math.max(1, Math.ceil(minutesLeft));
  if (items > 0) {
    return { lid: "keep-open", why: isEmbedded ? "embedded" : "uploading", items, minutes };
  }
  if (underWay === 0) return { lid: "idle" };
  const silentMs = serverSeenAt === null ? Infinity : now.getTime() - serverSeenAt.getTime();
  return silentMs <= SERVER_ALIVE_MS ? { lid: "safe" } : { lid: "no-server", seenAt: serverSeenAt };
}

/** `formatTime` gives a time of day as its reader knows it; an older one comes with its date. */
export function formatLid(advice: LidAdvice, formatTime: (at: Date) => string): string {
  switch (advice.lid) {
    case "idle":
      return "nothing is under way: close the lid as you like";
    case "safe":
      return "safe to close the lid";
    case "no-server":
      return advice.seenAt === null
        ? "handed off; no server has been seen yet: nothing runs until one starts"
        : `handed off; no server has been seen since ${formatTime(advice.seenAt)}: nothing runs until one starts`;
    case "keep-open": {
      const items = advice.items === 1 ? "1 item" : `${advice.items} items`;
      const about = advice.minutes === null ? "" : `, about ${advice.minutes} min`;
      const todo = advice.why === "uploading" ? " to hand off" : "";
      return `keep the lid open: ${items}${todo}${about}`;
    }
  }
}

/** `18:02` today, `Nov 24, 18:02` before. */
export function formatTimeOfDay(at: Date, now: Date): string {
  const time = `${`${at.getHours()}`.padStart(2, "0")}:${`${at.getMinutes()}`.padStart(2, "0")}`;
  if (at.toDateString() === now.toDateString()) return time;
  const month = at.toLocaleString("en-US", { month: "short" });
  return `${month} ${at.getDate()}, ${time}`;
}
