/**
 * The defences that `make campaign-mutants` removes one at a time, to see a campaign turn red. All
 * are on unless a campaign's own composition root says otherwise: no setting reaches them.
 */
export interface Defences {
  /** A claim is a compare-and-swap on the state that was read. */
  claimIfMatch: boolean;
  /** A progress write or a publish holds only under the claim's owner and epoch. */
  epochCheck: boolean;
  /** The attempt is counted by the claim, before any work. */
  attemptsBeforeWork: boolean;
  /** Artifacts are compared with their SHA-256 when they are read. */
  hashCheckOnRead: boolean;
  /** A damaged cache entry is a miss. */
  cacheChecksum: boolean;
  /** `results/…/manifest.json` is written after every file that it names. */
  manifestLast: boolean;
  /** The ticket is deleted after every other step of the tail. */
  ticketLast: boolean;
  /** A message is acknowledged only after the claim is durable. */
  ackAfterClaim: boolean;
  /** A paid call is entered as `running` before it is paid. */
  paidIntentFirst: boolean;
  /** Before it pays, a runner looks whether it may have slept past its lease. */
  lifeBeforePaying: boolean;
  /** A paid call without an answer is given up when its claim ends. */
  callsGivenUp: boolean;
  /** The source is compared with what was hashed, before and after a stage reads it. */
  sourceIdentity: boolean;
  /** An item under way is taken over only from a runner that is dead. */
  livenessBeforeTakeover: boolean;
  /** Tickets are looked at again and again, whatever the queue says. */
  sweep: boolean;
}

export const ALL_DEFENCES: Readonly<Defences> = {
  claimIfMatch: true,
  epochCheck: true,
  attemptsBeforeWork: true,
  hashCheckOnRead: true,
  cacheChecksum: true,
  manifestLast: true,
  ticketLast: true,
  ackAfterClaim: true,
  paidIntentFirst: true,
  lifeBeforePaying: true,
  callsGivenUp: true,
  sourceIdentity: true,
  livenessBeforeTakeover: true,
  sweep: true,
};
