/**
 * One sentence on the person's desktop: osascript on a Mac, notify-send elsewhere. Text goes as an
 * argument and is never part of a script. Where there is no desktop nothing happens.
 */
import { spawn } from "node:child_process";

/** It shows within a moment, or never. */
const TIMEOUT_MS = 5_000;

export interface NoticeFacts {
  platform: NodeJS.Platform;
  env: Readonly<Record<string, string | undefined>>;
}

/** Pure: the command line, or undefined where nobody would see it. */
export function planNotice(
  { platform, env }: NoticeFacts,
  title: string,
  text: string,
): string[] | undefined {
  if (platform === "darwin") {
    const script = [
      ...["-e", "on run argv"],
      ...["-e", "display notification (item 2 of argv) with title (item 1 of argv)"],
      ...["-e", "end run"],
    ];
    return ["osascript", ...script, "--", title, text];
  }
  const hasDesktop = Boolean(env["DISPLAY"]) || Boolean(env["WAYLAND_DISPLAY"]);
  return hasDesktop ? ["notify-send", "--app-name=ClipScribe", "--", title, text] : undefined;
}

/** Never fails: whoever sees no desktop reads the terminal. */
export async function showNotice(facts: NoticeFacts, title: string, text: string): Promise<void> {
  const [program, ...args] = planNotice(facts, title, text) ?? [];
  if (program === undefined) return;
  await new Promise<void>((resolve) => {
    const env = { ...facts.env };
    const child = spawn(program, args, { stdio: "ignore", timeout: TIMEOUT_MS, env });
    child.once("error", () => resolve());
    child.once("close", () => resolve());
  });
}
