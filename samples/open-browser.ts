/** Chromium as it is installed on this machine, driven from a test or a benchmark. */
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";

import { chromium } from "playwright-core";
import type { Browser } from "playwright-core";

const NAMES = ["chromium", "chromium-browser", "google-chrome"];
const MAC_APPS = ["Chromium", "Google Chrome"];

export async function openBrowser(): Promise<Browser> {
  const onPath = (process.env["PATH"] ?? "")
    .split(delimiter)
    .flatMap((folder) => NAMES.map((name) => join(folder, name)));
  const apps = MAC_APPS.map((name) => `/Applications/${name}.app/Contents/MacOS/${name}`);
  const executablePath = [...onPath, ...apps].find((path) => existsSync(path));
  if (executablePath === undefined) {
    throw new Error("no Chromium here: install it with ./scripts/install-tools chromium");
  }
  return chromium.launch({
    executablePath,
    // In a container there is no user namespace for its own sandbox; the pages are ours.
    args: ["--no-sandbox", "--disable-dev-shm-usage", "--autoplay-policy=no-user-gesture-required"],
  });
}
