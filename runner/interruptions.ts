/** The reasons why a claim's work ends early without being the item's fault. */
import { ClipscribeError } from "../core/errors.ts";

/** The runner stops: the item goes back to the queue, and the claim does not count. */
export class Drained extends ClipscribeError {
  constructor() {
    super("cancelled", "the runner was stopped", {
      hint: "run again: it goes on where it stopped",
    });
  }
}

/** Another runner has the item now: nothing more may be written for this claim. */
export class ClaimLost extends ClipscribeError {
  constructor(cause?: unknown) {
    super("conflict", "the claim on the item was lost", { cause });
  }
}

/** A person cancelled the job. */
export class CancelledByPerson extends ClipscribeError {
  constructor() {
    super("cancelled", "the job was cancelled", {
      hint: "`clipscribe batch resume JOB` if that was a mistake",
    });
  }
}

/** A person paused the job: the stage under way ends, then the item is held. */
export class PausedByPerson extends ClipscribeError {
  constructor() {
    super("config", "the job is paused", {
      hint: "`clipscribe batch resume JOB` lets it go on",
    });
  }
}
