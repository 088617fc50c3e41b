/** `clipscribe emulator`: serves until it is interrupted; the first line says where everything is. */
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

import { EXIT } from "../core/exit-codes.ts";
import { openEmulator } from "../emulator/emulator.ts";
import type { Io } from "./io.ts";

export async function emulator(
  { port, dir }: { port: number; dir: string | undefined },
  io: Io,
): Promise<number> {
  const folder =
    dir === undefined ? mkdtempSync(join(tmpdir(), "clipscribe-emulator-")) : resolve(io.cwd, dir);
  await using cloud = await openEmulator({ dir: folder, port });
  const stopped = Promise.withResolvers<void>();
  const forget = io.onInterrupt(() => stopped.resolve());
  io.stdout(`${JSON.stringify(cloud.address)}\n`);
  await stopped.promise;
  forget();
  return EXIT.complete;
}
