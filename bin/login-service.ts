/**
 * The agent as a service of the person's own login: systemd's user units on Linux, launchd's agents on
 * a Mac. Planned purely from a template, so that both can be tested anywhere; nothing secret is in it,
 * since the agent reads the person's settings by itself.
 */
import { join } from "node:path";

import { ClipscribeError } from "../core/errors.ts";

export interface ServiceFacts {
  platform: NodeJS.Platform;
  /** The person's home folder. */
  userHome: string;
  /** Numeric; launchd names a person's services by it. */
  uid: number;
  configHome: string;
  profile: string | null;
  /** Absolute path of `bin/clipscribe`. */
  program: string;
  /** CLIPSCRIBE_HOME: where the agent works. */
  folder: string;
}

export interface ServicePlan {
  /** `clipscribe`, `org.clipscribe.agent`: what the system calls it. */
  name: string;
  /** Of the template, below templates/. */
  template: string;
  /** Where the filled-in template goes. */
  file: string;
  /** The log that the service writes; null: the system keeps it. */
  logFile: string | null;
  holes: Record<string, string>;
  /** Command lines, each may be repeated. */
  start: string[][];
  stop: string[][];
  /** How a person looks after it. */
  look: string;
}

/** @throws `config` where the system has neither. */
export function planService(facts: ServiceFacts): ServicePlan {
  switch (facts.platform) {
    case "linux":
      return planSystemd(facts);
    case "darwin":
      return planLaunchd(facts);
    default:
      throw new ClipscribeError("config", "there is no login service on this system", {
        details: { platform: facts.platform },
        hint: "start `clipscribe up` by hand, or by what your system has for that",
      });
  }
}

/** Fills a template's holes. @throws `bug` for a hole that nobody fills. */
export function fillTemplate(text: string, holes: Readonly<Record<string, string>>): string {
  return text.replaceAll(/\{\{(\w+)\}\}/g, (_, name: string) => {
    const value = holes[name];
    if (value !== undefined) return value;
    throw new ClipscribeError("bug", "a template has a hole that nobody fills", {
      details: { name },
    });
  });
}

function argumentsOf({ program, profile }: ServiceFacts): string[] {
  return [program, ...(profile === null ? [] : ["--profile", profile]), "up"];
}

function planSystemd(facts: ServiceFacts): ServicePlan {
  const { profile, userHome, configHome, folder } = facts;
  const unit = profile === null ? "clipscribe.service" : `clipscribe-${profile}.service`;
  const path = [join(userHome, ".local/bin"), "/usr/local/bin", "/usr/bin", "/bin"].join(":");
  return {
    name: unit,
    template: "systemd/clipscribe.service",
    file: join(configHome, "systemd", "user", unit),
    logFile: null,
    holes: {
      suffix: profile === null ? "" : ` (${profile})`,
      command: argumentsOf(facts).map(quoteForSystemd).join(" "),
      path: quoteForSystemd(`PATH=${path}`),
      // Not split into words, so not quoted.
      folder: folder.replaceAll("%", "%%"),
    },
    start: [
      ["systemctl", "--user", "daemon-reload"],
      ["systemctl", "--user", "enable", unit],
      ["systemctl", "--user", "restart", unit],
    ],
    stop: [["systemctl", "--user", "disable", "--now", unit]],
    look: `systemctl --user status ${unit}; journalctl --user -u ${unit}`,
  };
}

/** systemd.service(5), "Command lines": words in double quotes, C escapes, `%` and `$` are special. */
function quoteForSystemd(word: string): string {
  const escaped = word
    .replaceAll("\\", "\\\\")
    .replaceAll('"', '\\"')
    .replaceAll("%", "%%")
    .replaceAll("$", "$$$$");
  return `"${escaped}"`;
}

function planLaunchd(facts: ServiceFacts): ServicePlan {
  const { profile, userHome, uid, folder } = facts;
  const label = profile === null ? "org.clipscribe.agent" : `org.clipscribe.agent.${profile}`;
  const file = join(userHome, "Library", "LaunchAgents", `${label}.plist`);
  const logFile = join(userHome, "Library", "Logs", `${label}.log`);
  const homebrew = ["/opt/homebrew/bin", "/usr/local/bin"];
  const system = ["/usr/bin", "/bin", "/usr/sbin", "/sbin"];
  const path = [join(userHome, ".local/bin"), ...homebrew, ...system].join(":");
  const words = argumentsOf(facts).map((word) => `    <string>${escapeXml(word)}</string>`);
  const domain = `gui/${uid}`;
  return {
    name: label,
    template: "launchd/clipscribe.plist",
    file,
    logFile,
    holes: {
      label: escapeXml(label),
      arguments: words.join("\n"),
      path: escapeXml(path),
      folder: escapeXml(folder),
      log: escapeXml(logFile),
    },
    start: [["launchctl", "bootstrap", domain, file]],
    stop: [["launchctl", "bootout", `${domain}/${label}`]],
    look: `launchctl print ${domain}/${label}; tail ${logFile}`,
  };
}

function escapeXml(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}
