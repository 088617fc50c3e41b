/** `clipscribe config show`: every setting, its value, where it comes from; secrets hidden. */
import { existsSync } from "node:fs";

import { showSetting } from "../core/settings.ts";
import type { Io } from "./io.ts";
import { readSettings } from "./settings.ts";

export async function showConfig(io: Io): Promise<number> {
  const { all, profile, configFile } = await readSettings(io);
  if (profile !== null) io.stdout(`${"profile".padEnd(26)} ${profile}\n`);
  const isThere = existsSync(configFile);
  io.stdout(`${"config file".padEnd(26)} ${configFile}${isThere ? "" : "  (none)"}\n`);
  for (const setting of all.values()) {
    const from = setting.value === null ? "" : `  (${setting.from})`;
    io.stdout(`${setting.name.padEnd(26)} ${showSetting(setting)}${from}\n`);
  }
  return 0;
}
