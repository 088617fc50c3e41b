/** Whether a store heeds the conditions that everything rests on. */
import { ClipscribeError, isKind } from "../core/errors.ts";
import { systemKeys } from "../core/keys.ts";
import type { ObjectKey } from "../core/keys.ts";
import type { ObjectStore } from "../ports/object-store.ts";

/** No clock is as wrong as that, and no start takes so long. */
const STALE_PROBE_MS = 48 * 60 * 60_000;

/**
 * Two runners on a store that takes conditions and does not heed them would both win every claim.
 * `key`: a free one, written and deleted.
 *
 * @throws `config`; whatever the store says where it can't be reached or may not be written.
 */
export async function assertConditions(store: ObjectStore, key: ObjectKey): Promise<void> {
  const body = Buffer.from("a second write of this must fail");
  const refused = async (write: Promise<unknown>): Promise<boolean> =>
    write.then(
      () => false,
      (error: unknown) => {
        if (isKind(error, "conflict")) return true;
        throw error;
      },
    );
  const first = await store.put(key, body, { ifMatch: null });
  const other = Buffer.from("other bytes");
  const isSound =
    (await refused(store.put(key, other, { ifMatch: null }))) &&
    (await refused(store.put(key, other, { ifMatch: `${first}0` as typeof first })));
  await store.delete(key);
  if (isSound) return;
  throw new ClipscribeError("config", "the store does not heed conditions of writes", {
    hint: "use R2, or another S3 with If-Match and If-None-Match on PutObject",
  });
}

/** Of runners that were killed as they started. */
export async function removeStaleProbes(store: ObjectStore, now: Date): Promise<void> {
  for await (const { key, modifiedAt } of store.list(systemKeys.probes)) {
    if (now.getTime() - modifiedAt.getTime() > STALE_PROBE_MS) await store.delete(key);
  }
}
