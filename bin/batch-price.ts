/** What a batch is said to cost and to take, and whether that is more than it may. */
import { formatUsd } from "../core/money.ts";
import type { CheckedPipeline } from "../core/pipeline.ts";
import type { Providers } from "../runner/world.ts";
import type { BatchEstimate } from "./batch-estimate.ts";
import { openProviders } from "./providers.ts";
import type { Settings } from "./settings.ts";

/** Whom servers are taken to ask, where this machine has no key of its own. */
const ASSUMED = ["MISTRAL_API_KEY", "XAI_API_KEY"];

/**
 * A laptop that hands over to servers needs no keys, and so can't know whose they have: the usual pair
 * is assumed, so that the price is not said to be nothing.
 */
export function openProvidersForEstimate(settings: Settings): Providers {
  const own = openProviders(settings);
  if (!isAssumed(settings, own)) return own;
  const all = new Map(settings.all);
  for (const name of ASSUMED) {
    const setting = all.get(name);
    if (setting !== undefined) all.set(name, { ...setting, value: setting.value ?? "assumed" });
  }
  return openProviders({ ...settings, all });
}

function isAssumed({ store }: Settings, { transcribers, chats }: Providers): boolean {
  return store.kind !== "disk" && transcribers.length + chats.length === 0;
}

/** Null: it may go on. Else why not, in a sentence. */
export function findOverBudget(
  { costUsd }: BatchEstimate,
  wantedUsd: number | null,
  { jobUsd, dayUsd }: CheckedPipeline["budget"],
): string | null {
  if (costUsd === null) return null;
  const limits: [string, number | null][] =
    wantedUsd === null
      ? [
          ["`job_usd` in pipeline.yaml", jobUsd],
          ["`day_usd` in pipeline.yaml", dayUsd],
        ]
      : [["your budget", wantedUsd]];
  for (const [name, limit] of limits) {
    if (limit !== null && costUsd > limit) {
      return `it may cost ${formatUsd(costUsd)}, and ${name} is ${formatUsd(limit)}`;
    }
  }
  return null;
}

/** Two lines: what there is, and what it costs and takes. */
export function describeEstimate(
  estimate: BatchEstimate,
  settings: Settings,
  itemLimitUsd: number | null,
): string[] {
  const { items, mediaSeconds, costUsd, itemUsd, minutes, known, dead } = estimate;
  const links = dead === 1 ? "1 dead link" : `${dead} dead links`;
  const count = `${items === 1 ? "1 item" : `${items} items`}${dead === 0 ? "" : `, ${links}`}`;
  if (mediaSeconds === null || costUsd === null || minutes === null) {
    return [`${count}; how long they are, and so the price, can't be told beforehand`];
  }
  const guessed = known < items ? ` (by ${known} of them)` : "";
  const isGuess = isAssumed(settings, openProviders(settings));
  const price =
    costUsd === 0
      ? "nothing to pay"
      : `at most ${formatUsd(costUsd)}${isGuess ? ", if servers ask Mistral and xAI" : ""}`;
  const lines = [
    `${count}, ${formatDuration(mediaSeconds)} of sound${guessed}: ${price}, about ${formatMinutes(minutes)} of work`,
  ];
  if (itemLimitUsd !== null && itemUsd !== null && itemUsd > itemLimitUsd) {
    lines.push(
      `an item may cost ${formatUsd(itemUsd)}, more than \`item_usd\` (${formatUsd(itemLimitUsd)}): what does is held for you`,
    );
  }
  return lines;
}

/** `6 h 20 min`, `12 min`, `40 s`. */
export function formatDuration(seconds: number): string {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

function formatMinutes(minutes: number): string {
  return minutes < 1 ? "a minute" : formatDuration(minutes * 60);
}
