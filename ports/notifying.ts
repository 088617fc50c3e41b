/**
 * Makes a store tell of new objects as R2 does: an object-created event a write, by literal prefix
 * rules. A lost event is no error of the write: the sweep heals it. An event is sent as soon as the
 * object can be read, while its name is still being flushed: whoever lists finds it then as well.
 */
import type { ObjectKey } from "../core/keys.ts";
import type { Clock } from "./clock.ts";
import type { EventQueue } from "./event-queue.ts";
import type { Log } from "./log.ts";
import type { Etag, ObjectStore } from "./object-store.ts";

export interface EventRule {
  prefix: string;
  queue: EventQueue;
}

export function notifying<Store extends ObjectStore>(
  store: Store,
  rules: readonly EventRule[],
  { clock, log }: { clock: Clock; log: Log },
): Store {
  const isHeard = (key: ObjectKey): boolean => rules.some(({ prefix }) => key.startsWith(prefix));

  async function tell(action: string, key: ObjectKey, eTag: Etag, size?: number): Promise<void> {
    if (!isHeard(key)) return;
    const body = JSON.stringify({
      account: "local",
      action,
      bucket: "local",
      object: { key, ...(size !== undefined && { size }), eTag },
      eventTime: clock.now().toISOString(),
    });
    for (const rule of rules) {
      if (!key.startsWith(rule.prefix)) continue;
      try {
        await rule.queue.send(body);
      } catch (error) {
        log.warn("an event could not be sent; the sweep finds the object", { key, error });
      }
    }
  }
  const told: Partial<ObjectStore> = {
    async put(key, body, options) {
      if (!isHeard(key)) return store.put(key, body, options);
      let told: Promise<void> | undefined;
      const onVisible = (etag: Etag): void => {
        told = tell("PutObject", key, etag, body.length);
      };
      const etag = await store.put(key, body, { ...options, onVisible });
      await (told ?? tell("PutObject", key, etag, body.length));
      return etag;
    },
    async putStream(key, body, options) {
      const etag = await store.putStream(key, body, options);
      await tell("PutObject", key, etag);
      return etag;
    },
    async copy(from, to, options) {
      await store.copy(from, to, options);
      const copied = isHeard(to) ? await store.head(to) : undefined;
      if (copied !== undefined) await tell("CopyObject", to, copied.etag, copied.sizeBytes);
    },
    async completeUpload(key, uploadId, parts, options) {
      const etag = await store.completeUpload(key, uploadId, parts, options);
      await tell("CompleteMultipartUpload", key, etag);
      return etag;
    },
  };
  return { ...store, ...told };
}
