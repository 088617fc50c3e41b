/** How old yt-dlp is: its version is its date, and sites change every few weeks. */
/** Older ones have known holes: GHSA-22fp-mf44-f2mq and others. */
const SAFE_VERSION = "2026.07.04";
/** What is older than this fails on some sites. */
const OLD_DAYS = 90;
const DAY_MS = 86_400_000;

export interface ProgramAge {
  days: number;
  isOld: boolean;
  hasKnownHoles: boolean;
}

/** Undefined for a version that is no date. */
export function ageOfVersion(version: string, now: Date): ProgramAge | undefined {
  const date = /^\d{4}\.\d{2}\.\d{2}/.exec(version)?.[0];
  if (date === undefined) return undefined;
  const days = Math.floor((now.getTime() - Date.parse(date.replaceAll(".", "-"))) / DAY_MS);
  if (!(days >= 0)) return undefined;
  return { days, isOld: days > OLD_DAYS, hasKnownHoles: date < SAFE_VERSION };
}

export function updateHint(platform: NodeJS.Platform): string {
  return platform === "darwin"
    ? "update it: brew upgrade yt-dlp"
    : "update it: pipx upgrade yt-dlp, or pipx install yt-dlp where it came with the system";
}
