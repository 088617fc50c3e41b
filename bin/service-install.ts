/** Puts the login service where the system looks for it, and takes it away again. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

import { ClipscribeError } from "../core/errors.ts";
import { safeLine } from "../core/safe-text.ts";
import { homeOf } from "./config-file.ts";
import { INSTALL_ROOT } from "./install.ts";
import type { Io } from "./io.ts";
import { fillTemplate, planService } from "./login-service.ts";
import type { ServicePlan } from "./login-service.ts";
import type { Settings } from "./settings.ts";

/** The system's answer takes a moment, or it hangs. */
const TIMEOUT_MS = 30_000;

export interface ServiceEnd {
  name: string;
  file: string;
  /** `written`: it lies there, and could not be started now. */
  state: "started" | "written" | "removed" | "absent";
  /** For a person, whole lines. */
  said: string;
}

export function installService(io: Io, settings: Settings): ServiceEnd {
  const plan = planFor(io, settings.profile, settings.home);
  const template = readFileSync(join(INSTALL_ROOT, "templates", plan.template), "utf8");
  try {
    for (const folder of [dirname(plan.file), ...(plan.logFile ? [dirname(plan.logFile)] : [])]) {
      mkdirSync(folder, { recursive: true });
    }
    writeFileSync(plan.file, fillTemplate(template, plan.holes), { mode: 0o644 });
  } catch (cause) {
    throw new ClipscribeError("denied", "the login service can't be written", {
      details: { file: plan.file },
      hint: "make that folder writable, or run `clipscribe up` by hand",
      cause,
    });
  }
  const { name, file } = plan;
  // launchd refuses what it has already; systemd does not mind.
  if (io.platform === "darwin") for (const line of plan.stop) call(io, line);
  for (const line of plan.start) {
    const trouble = call(io, line);
    if (trouble === null) continue;
    const said = `service ${file} is written, but ${line[0]} can't start it now: ${trouble}\n        start it by hand: ${line.join(" ")}\n`;
    return { name, file, state: "written", said };
  }
  const said = `service ${name} runs, and starts whenever you log in\n        look after it: ${plan.look}\n`;
  return { name, file, state: "started", said };
}

export function removeService(io: Io, profile: string | null): ServiceEnd {
  const plan = planFor(io, profile, homeOf(io));
  const { name, file } = plan;
  if (!existsSync(file)) {
    return { name, file, state: "absent", said: `there is no service ${name}\n` };
  }
  for (const line of plan.stop) call(io, line);
  rmSync(file);
  if (io.platform === "linux") call(io, ["systemctl", "--user", "daemon-reload"]);
  return { name, file, state: "removed", said: `service ${name} is gone; your files stay\n` };
}

function planFor(io: Io, profile: string | null, folder: string): ServicePlan {
  const userHome = homeOf(io);
  return planService({
    platform: io.platform,
    userHome,
    uid: process.getuid?.() ?? 0,
    configHome: io.env["XDG_CONFIG_HOME"] || join(userHome, ".config"),
    profile,
    program: join(INSTALL_ROOT, "bin", "clipscribe"),
    folder,
  });
}

/** Null where it went well, else what was said. */
function call(io: Io, [program = "", ...args]: readonly string[]): string | null {
  try {
    execFileSync(program, args, {
      encoding: "utf8",
      env: { ...io.env },
      stdio: ["ignore", "ignore", "pipe"],
      timeout: TIMEOUT_MS,
    });
    return null;
  } catch (error) {
    const { stderr, message } = error as { stderr?: string; message: string };
    return safeLine(stderr || message, 200);
  }
}
