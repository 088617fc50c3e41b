/**
 * Keys of the bucket that live for hours: fetched when they are first needed, again before they
 * expire, and again when they are refused. One fetch at a time, however many requests wait for it.
 */
import { isKind } from "../../core/errors.ts";

export interface StaticKeys {
  accessKeyId: string;
  secretAccessKey: string;
  sessionToken?: string | undefined;
}

export interface BucketKeys extends StaticKeys {
  /** Null: nobody said. */
  expiresAt: Date | null;
}

export interface RenewingKeys<Keys> {
  current(): Promise<Keys>;
  /** How often they were fetched: says later which ones were refused. */
  serial(): number;
  /** Those of that serial were refused. Returns whether another try with others is worth it. */
  spoil(serial: number): boolean;
}

/** Renewed so long before they expire, or in the last quarter of their life if that is shorter. */
const MARGIN_MS = 5 * 60 * 1000;
/** Refused sooner than this after they were fetched: fresh ones would be refused as well. */
const MIN_AGE_MS = 15_000;

export function createRenewingKeys<Keys extends { expiresAt: Date | null }>(options: {
  renew: () => Promise<Keys>;
  now?: () => number;
}): RenewingKeys<Keys> {
  const { renew, now = Date.now } = options;
  let held: { keys: Keys; since: number } | undefined;
  let pending: Promise<Keys> | undefined;
  let fetched = 0;

  function isFresh({ keys: { expiresAt }, since }: NonNullable<typeof held>): boolean {
    if (expiresAt === null) return true;
    const life = expiresAt.getTime() - since;
    return now() < expiresAt.getTime() - Math.min(MARGIN_MS, life / 4);
  }

  async function fetchKeys(): Promise<Keys> {
    try {
      const keys = await renew();
      held = { keys, since: now() };
      fetched++;
      return keys;
    } catch (error) {
      // What we have may still do: it is renewed early so that there is time for this.
      const end = held?.keys.expiresAt?.getTime();
      if (held !== undefined && end !== undefined && now() < end) return held.keys;
      throw error;
    } finally {
      pending = undefined;
    }
  }

  return {
    async current() {
      if (held !== undefined && isFresh(held)) return held.keys;
      return (pending ??= fetchKeys());
    },
    serial: () => fetched,
    spoil(serial) {
      // Others were refused with the same ones, and have fetched fresh ones meanwhile.
      if (serial !== fetched) return true;
      if (held !== undefined && now() - held.since < MIN_AGE_MS) return false;
      held = undefined;
      return true;
    },
  };
}

/** Keys as the settings have them: nobody can renew them. */
export function fixedKeys({
  accessKeyId,
  secretAccessKey,
  sessionToken,
}: StaticKeys): RenewingKeys<BucketKeys> {
  const keys = { accessKeyId, secretAccessKey, sessionToken, expiresAt: null };
  return { current: async () => keys, serial: () => 0, spoil: () => false };
}

/** What was refused was not done: with fresh keys it may be asked for again, once. */
export async function withFreshKeys<Result>(
  keys: RenewingKeys<BucketKeys>,
  work: () => Promise<Result>,
): Promise<Result> {
  await keys.current();
  const serial = keys.serial();
  try {
    return await work();
  } catch (error) {
    if (!isKind(error, "denied") || !keys.spoil(serial)) throw error;
    return work();
  }
}

/** Marked as remembered, or the SDK would remember the first ones and never ask for fresh ones. */
export function toSdkProvider(keys: RenewingKeys<BucketKeys>) {
  const provider = async () => {
    const { accessKeyId, secretAccessKey, sessionToken } = await keys.current();
    return { accessKeyId, secretAccessKey, ...(sessionToken && { sessionToken }) };
  };
  return Object.assign(provider, { memoized: true as const });
}
