/** Pushed pipelines on this machine: fetched once, verified, and made of the bytes that were pushed. */
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { sha256Of } from "../core/digest.ts";
import { ClipscribeError } from "../core/errors.ts";
import type { Sha256 } from "../core/ids.ts";
import type { CheckedPipeline } from "../core/pipeline.ts";
import { isSignedBy } from "../core/pushed-pipeline.ts";
import type { PipelineIndex } from "../core/pushed-pipeline.ts";
import type { ObjectStore } from "../ports/object-store.ts";
import { readPipeline, readSignature } from "../sync/pipeline-store.ts";
import { buildPipeline, bundlesIn, notItself } from "./load-pipeline.ts";
import type { Settings } from "./settings.ts";
import { writeWhole } from "./write-whole.ts";

export interface PushedPipelines {
  /**
   * @throws `missing` where it is gone or damaged; `denied` where a public key is set and it is not
   *   signed by it; `contract` where it is not what its digest says.
   */
  load(digest: Sha256): Promise<CheckedPipeline>;
}

export function openPushedPipelines(store: ObjectStore, settings: Settings): PushedPipelines {
  const cacheDir = bundlesIn(settings.home);
  const publicKey = readKey(settings, "CLIPSCRIBE_PIPELINE_PUBLIC_KEY");
  const loaded = new Map<Sha256, Promise<CheckedPipeline>>();

  async function load(digest: Sha256): Promise<CheckedPipeline> {
    const { index, bundles } = await readPipeline(store, digest);
    if (index.digest !== digest) throw notItself(digest);
    if (publicKey !== null) await assertSigned(publicKey, index);
    mkdirSync(cacheDir, { recursive: true });
    for (const [file, body] of bundles) placeBundle(join(cacheDir, file), body);
    return buildPipeline(index, cacheDir);
  }

  async function assertSigned(key: string, index: PipelineIndex): Promise<void> {
    const signature = await readSignature(store, index.digest);
    if (signature !== undefined && isSignedBy(key, index, signature)) return;
    const what = signature === undefined ? "has no signature" : "was signed by another key";
    throw new ClipscribeError("denied", `the pushed pipeline ${what}`, {
      details: { digest: index.digest.slice(0, 12) },
      hint: "push it from where CLIPSCRIBE_PIPELINE_SIGNING_KEY is set",
    });
  }

  return {
    load(digest) {
      const known = loaded.get(digest);
      if (known !== undefined) return known;
      const loading = load(digest);
      loaded.set(digest, loading);
      loading.catch(() => loaded.delete(digest));
      return loading;
    },
  };
}

/** The PEM that a setting names by its file; null where it is not set. @throws `config` */
export function readKey(settings: Settings, name: string): string | null {
  const file = settings.all.get(name)?.value ?? null;
  if (file === null) return null;
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    throw new ClipscribeError("config", `the file of ${name} can't be read`, {
      details: { file },
      hint: "name a PEM file that this user may read",
      cause,
    });
  }
}

/** What lies there under that name is used only if it is that. */
function placeBundle(path: string, body: Uint8Array): void {
  try {
    if (sha256Of(readFileSync(path)) === sha256Of(body)) return;
  } catch {
    // Not there yet.
  }
  writeWhole(path, body);
}
