/** Somebody whom others trust to say that a hash existed at a time: RFC 3161. */
import type { Sha256 } from "../core/ids.ts";

export interface TimestampAuthority {
  /**
   * Returns the authority's whole answer in DER, checked to be about this hash.
   * @throws `transient` out of reach; `contract` where it refuses, or answers something else.
   */
  stamp(sha256: Sha256, signal: AbortSignal): Promise<Uint8Array>;
}
