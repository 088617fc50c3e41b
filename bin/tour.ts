/** `clipscribe tour`: prints docs/tour.md, whose commands a test walks. */
import { readFileSync } from "node:fs";
import { join } from "node:path";

import { INSTALL_ROOT } from "./install.ts";
import type { Io } from "./io.ts";

export function tour(io: Io): Promise<number> {
  io.stdout(readFileSync(join(INSTALL_ROOT, "docs", "tour.md"), "utf8"));
  return Promise.resolve(0);
}
