/** What comes after a job's last item: its own part, and the messages. One for each runner. */
import type { UserKeys } from "../core/keys.ts";
import type { ArtifactShelf } from "./artifact-shelf.ts";
import { openJobFinisher } from "./finish-job.ts";
import type { JobFinisher } from "./finish-job.ts";
import type { JobMetadata } from "./job-metadata.ts";
import type { Liveness } from "./liveness.ts";
import { openOutbox } from "./outbox.ts";
import type { RunnerWorld } from "./world.ts";

export interface MailRoom extends AsyncDisposable {
  finisher: JobFinisher;
}

export function openMailRoom(options: {
  world: RunnerWorld;
  keys: UserKeys;
  shelf: ArtifactShelf;
  jobs: JobMetadata;
  liveness: Liveness;
  stopping: AbortSignal;
  /** Who looks after some jobs only sends what it put, and nobody else's. */
  scope: { sweepPrefix: string | null };
}): MailRoom {
  const outbox = openOutbox({ ...options, sweeps: options.scope.sweepPrefix === null });
  const finisher = openJobFinisher({ ...options, putMessage: outbox.put });
  return { finisher, [Symbol.asyncDispose]: () => outbox[Symbol.asyncDispose]() };
}
