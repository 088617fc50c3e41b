/**
 * Looks at the bucket all night, as a reader does who comes at any time: an item's epoch and run only
 * grow, what it publishes is whole from the first moment on, and is not published under an older run.
 */
import { setTimeout as delay } from "node:timers/promises";

import { hashOf } from "./night-reader.ts";
import type { NightReader, SeenManifest, SeenState } from "./night-reader.ts";

const PAUSE_MS = 150;

export interface NightWatch {
  looks: number;
  /** Looks at an item that was published by then. */
  published: number;
  problems: string[];
  stop(): Promise<void>;
}

export function startNightWatch(
  reader: NightReader,
  items: readonly { job: string; item: string }[],
  random: () => number,
): NightWatch {
  const stopping = new AbortController();
  const last = new Map<string, SeenState>();
  const watch: NightWatch = {
    looks: 0,
    published: 0,
    problems: [],
    async stop() {
      stopping.abort();
      await watching;
    },
  };

  async function look(job: string, item: string): Promise<void> {
    const name = `${job}/${item}`;
    const text = await reader.get(`jobs/${reader.user}/${job}/items/${item}.json`);
    if (text === null) return;
    watch.looks++;
    const state = JSON.parse(text.toString("utf8")) as SeenState;
    const before = last.get(name);
    last.set(name, state);
    if (before !== undefined && (state.epoch < before.epoch || state.run < before.run)) {
      watch.problems.push(
        `${name} went back from run ${before.run}, epoch ${before.epoch} to ${state.run}, ${state.epoch}`,
      );
    }
    if (before?.manifest != null && state.manifest === null) {
      watch.problems.push(`${name} was published, and is not any more`);
    }
    if (state.manifest === null) return;
    watch.published++;
    const blob = async (sha256: string): Promise<Buffer | null> =>
      reader.get(`blobs/${reader.user}/${sha256}`);
    const manifest = await blob(state.manifest.sha256);
    if (manifest === null || hashOf(manifest) !== state.manifest.sha256) {
      watch.problems.push(`${name} names a manifest that is not there`);
      return;
    }
    for (const { path, sha256 } of (JSON.parse(manifest.toString("utf8")) as SeenManifest).files) {
      const file = await reader.get(`results/${reader.user}/${name}/${path}`);
      if (file !== null && hashOf(file) === sha256) continue;
      // Not yet projected, or a projection of another run: then the blob is the truth.
      const truth = await blob(sha256);
      if (truth === null || hashOf(truth) !== sha256) {
        watch.problems.push(`${name}: ${path} is published, and nowhere`);
      }
    }
  }

  const watching = (async () => {
    while (!stopping.signal.aborted) {
      const { job, item } = items[Math.floor(random() * items.length)] ?? { job: "", item: "" };
      // A store that answers nothing at all is the night's doing.
      await look(job, item).catch(() => undefined);
      await delay(PAUSE_MS);
    }
  })();
  return watch;
}
