/**
 * A downloader that sites can live with: few requests of one host at once, some time between their
 * starts, and a rest where a host says that it is too much. What failed for the moment is started
 * anew a few times; the rest waits for nobody.
 */
import { isKind } from "../core/errors.ts";
import type { Clock } from "./clock.ts";
import type { Downloader } from "./downloader.ts";

export interface Manners {
  /** Looks and downloads of one host at once. */
  atOncePerHost: number;
  /** Between two starts on one host. */
  spacingMs: number;
  /** Tries of one download, the first included. */
  attempts: number;
  /** Before the second try; four times as long before each further one. */
  restMs: number;
}

export const GOOD_MANNERS: Manners = {
  atOncePerHost: 2,
  spacingMs: 1_000,
  attempts: 3,
  restMs: 5_000,
};

interface Host {
  running: number;
  /** By the monotonic clock: nothing is started on it before. */
  notBeforeMs: number;
  waiting: (() => void)[];
}

export function politeDownloader(
  downloader: Downloader,
  clock: Clock,
  manners: Manners = GOOD_MANNERS,
): Downloader {
  const hosts = new Map<string, Host>();

  async function take<Value>(
    url: string,
    signal: AbortSignal,
    work: () => Promise<Value>,
  ): Promise<Value> {
    const name = hostOf(url);
    const host = hosts.get(name) ?? { running: 0, notBeforeMs: 0, waiting: [] };
    hosts.set(name, host);
    while (host.running >= manners.atOncePerHost) {
      await new Promise<void>((resolve) => host.waiting.push(resolve));
    }
    host.running++;
    try {
      await waitForTurn(host, signal);
      return await work();
    } catch (error) {
      // Trouble of one is a sign for all: nobody knocks while the host rests.
      if (isKind(error, "transient")) {
        host.notBeforeMs = Math.max(host.notBeforeMs, clock.monotonicMs() + manners.restMs);
      }
      throw error;
    } finally {
      host.running--;
      host.waiting.shift()?.();
    }
  }

  async function waitForTurn(host: Host, signal: AbortSignal): Promise<void> {
    const now = clock.monotonicMs();
    const startMs = Math.max(now, host.notBeforeMs);
    host.notBeforeMs = startMs + manners.spacingMs;
    if (startMs > now) await clock.sleep(startMs - now, signal);
    signal.throwIfAborted();
  }

  async function persist<Value>(
    url: string,
    signal: AbortSignal,
    work: () => Promise<Value>,
  ): Promise<Value> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await take(url, signal, work);
      } catch (error) {
        if (attempt >= manners.attempts || !isKind(error, "transient")) throw error;
        await clock.sleep(manners.restMs * 4 ** (attempt - 1), signal);
      }
    }
  }

  return {
    look: (url, dir, options) =>
      persist(url, options.signal, () => downloader.look(url, dir, options)),
    fetch: (url, dir, options) =>
      persist(url, options.signal, () => downloader.fetch(url, dir, options)),
  };
}

/** One site under its several names. */
function hostOf(url: string): string {
  const host = URL.canParse(url) ? new URL(url).host : url;
  const plain = host.toLowerCase().replace(/^(?:www|m|mobile|music)\./, "");
  return plain === "youtu.be" ? "youtube.com" : plain;
}
