/** Which pipeline file a command means. */
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";

import { INSTALL_ROOT } from "./install.ts";
import type { Io } from "./io.ts";

/** The file that was named, else the one here, else the one of this installation. */
export function findPipelineFile(io: Io, named: string | undefined): string {
  if (named !== undefined) return resolve(io.cwd, named);
  const here = join(io.cwd, "pipeline.yaml");
  return existsSync(here) ? here : join(INSTALL_ROOT, "pipeline.yaml");
}
