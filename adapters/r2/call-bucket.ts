/** A call of the bucket, however it is made: its trouble in our words, and fresh keys once it is refused. */
import type { ObjectKey } from "../../core/keys.ts";
import { describeS3Error } from "./r2-error.ts";
import { withFreshKeys } from "./renewing-keys.ts";
import type { BucketKeys, RenewingKeys } from "./renewing-keys.ts";

export interface CallAbout {
  /** Absent where it is of no one object. */
  key?: ObjectKey;
  signal?: AbortSignal | undefined;
}

export type CallBucket = <Result>(about: CallAbout, work: () => Promise<Result>) => Promise<Result>;

export function openBucketCalls(keys: RenewingKeys<BucketKeys>, bucket: string): CallBucket {
  return async (about, work) =>
    withFreshKeys(keys, async () => {
      try {
        about.signal?.throwIfAborted();
        return await work();
      } catch (error) {
        throw describeS3Error(error, { bucket, ...about });
      }
    });
}
