import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { ClipscribeError, hasKind } from "../core/errors.ts";
import type { Clock } from "./clock.ts";
import type { Download, Downloader } from "./downloader.ts";
import { politeDownloader } from "./polite-downloader.ts";

const MANNERS = { atOncePerHost: 2, spacingMs: 1_000, attempts: 3, restMs: 5_000 };

/** Time that passes only where somebody sleeps. */
function testClock(): Clock & { nowMs: number } {
  const clock = {
    nowMs: 0,
    now: () => new Date(clock.nowMs),
    monotonicMs: () => clock.nowMs,
    async sleep(ms: number) {
      const until = clock.nowMs + ms;
      await new Promise((resolve) => setImmediate(resolve));
      clock.nowMs = Math.max(clock.nowMs, until);
    },
  };
  return clock;
}

function site(clock: { nowMs: number }, answer: (url: string, count: number) => Error | undefined) {
  const starts: [string, number][] = [];
  const running = new Map<string, number>();
  let most = 0;
  const downloader: Downloader = {
    look: () => Promise.reject(new Error("not asked")),
    async fetch(url) {
      const { host } = new URL(url);
      starts.push([host, clock.nowMs]);
      running.set(host, (running.get(host) ?? 0) + 1);
      most = Math.max(most, running.get(host) ?? 0);
      for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
      running.set(host, (running.get(host) ?? 0) - 1);
      const error = answer(url, starts.length);
      if (error !== undefined) throw error;
      return { path: url } as Download;
    },
  };
  return { downloader, starts, most: () => most };
}

describe("a polite downloader", () => {
  test("asks a host for two at once at most, a second apart, and hosts do not wait for each other", async (t) => {
    const clock = testClock();
    const { downloader, starts, most } = site(clock, () => undefined);
    const polite = politeDownloader(downloader, clock, MANNERS);
    const urls = [1, 2, 3, 4, 5].map((at) => `https://a.example/${at}`);

    await Promise.all(
      [...urls, "https://b.example/1"].map((url) => polite.fetch(url, "", { signal: t.signal })),
    );

    const times = starts.filter(([host]) => host === "a.example").map(([, at]) => at);
    assert.equal(most(), 2);
    assert.deepEqual(
      times.map((at, index) => at - (times[index - 1] ?? at - 1_000) >= 1_000),
      times.map(() => true),
    );
    assert.equal(starts.find(([host]) => host === "b.example")?.[1], 0);
  });

  test("starts anew what failed for the moment, and lets the host rest in between", async (t) => {
    const clock = testClock();
    const { downloader, starts } = site(clock, (_, count) =>
      count < 3 ? new ClipscribeError("transient", "reset") : undefined,
    );

    await politeDownloader(downloader, clock, MANNERS).fetch("https://a.example/1", "", {
      signal: t.signal,
    });

    const [first = 0, second = 0, third = 0] = starts.map(([, at]) => at);
    assert.ok(second - first >= 5_000 && third - second >= 20_000, `${first} ${second} ${third}`);
  });

  test("does not insist where the answer is no, nor for ever", async (t) => {
    for (const [kind, asked] of [
      ["denied", 1],
      ["contract", 1],
      ["transient", 3],
    ] as const) {
      const clock = testClock();
      const { downloader, starts } = site(clock, () => new ClipscribeError(kind, "no"));

      const fetched = politeDownloader(downloader, clock, MANNERS).fetch("https://a.example", "", {
        signal: t.signal,
      });

      await assert.rejects(fetched, hasKind(kind));
      assert.equal(starts.length, asked);
    }
  });
});
