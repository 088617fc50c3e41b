/** What comes after a job's last item: its own part, and the messages. One for each runner. */
import type { UserKeys } from "../core/keys.ts";
import type { ArtifactShelf } from "./artifact-shelf.ts";
import { openJobFinisher } from "./finish-job.ts";
import type { JobFinisher } from "./finish-job.ts";
import type { JobMetadata } from "./job-metadata.ts";
import type { Liveness } from "./liveness.ts";
import { openOutbox } from "./outbox.ts";
import type { Outbox } from "./outbox.ts";
import type { OfficeWorld } from "./world.ts";

export interface MailRoom extends AsyncDisposable {
  finisher: JobFinisher;
  outbox: Outbox;
}

export function openMailRoom(options: {
  world: OfficeWorld;
  keys: UserKeys;
  shelf: ArtifactShelf;
  jobs: JobMetadata;
  liveness: Liveness;
  stopping?: AbortSignal;
  /** Who looks after some jobs only sends what it put, and nobody else's. */
  scope: { sweepPrefix: string | null };
}): MailRoom {
  const sweeps = options.scope.sweepPrefix === null;
  const outbox = openOutbox({ ...options, sweeps, finish: async (job) => finisher.finish(job) });
  const finisher = openJobFinisher({ ...options, putMessage: outbox.put });
  return { finisher, outbox, [Symbol.asyncDispose]: () => outbox[Symbol.asyncDispose]() };
}
