/** Time, injected. `now` is for people and records; durations and leases use `monotonicMs`. */
export interface Clock {
  now(): Date;
  /** Milliseconds since some fixed point; never steps back. */
  monotonicMs(): number;
  /** Resolves after `ms`; rejects with `cancelled` when the signal aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}
