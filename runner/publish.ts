/**
 * Builds what is published. Everything is a blob first; `manifest.json` names it all; one
 * compare-and-swap of the item's state, elsewhere, makes it the truth.
 */
import { sha256Of } from "../core/digest.ts";
import { asClipscribeError, toErrorRecord } from "../core/errors.ts";
import type { Sha256 } from "../core/ids.ts";
import type { ManifestRef, Manifest } from "../core/records.ts";
import type { CachedArtifact } from "../core/records.ts";
import type { FinishedStage, ItemRun } from "./item-run.ts";

/** BagIt (RFC 8493) names it so; `sha256sum -c manifest-sha256.txt` verifies the folder. */
export const CHECKSUMS_FILE = "manifest-sha256.txt";
export const MANIFEST_FILE = "manifest.json";
/** `openssl ts -verify -data manifest.json -in manifest.json.tsr`: RFC 3161, as it came. */
export const TIMESTAMP_FILE = "manifest.json.tsr";

export interface Published {
  manifest: Manifest;
  ref: ManifestRef;
}

export async function preparePublish(
  run: ItemRun,
  finished: ReadonlyMap<string, FinishedStage>,
  costUsd: number,
): Promise<Published> {
  const { ticket, pipeline, world } = run;
  const files: Manifest["files"] = [];
  const absent: Manifest["absent"] = [];
  const kept: Promise<unknown>[] = [];
  for (const { file, stage, artifact } of pipeline.publish) {
    const done = finished.get(stage);
    const made = done?.entry?.artifacts[artifact];
    if (made === undefined) {
      const why = done?.entry == null ? `stage ${stage} is missing` : "this source has none";
      absent.push({ path: file, why });
      continue;
    }
    // Together: they share the flush of their folder.
    kept.push(run.shelf.asBlob(made, run.signal));
    const { sha256, size, media_type } = made;
    files.push({ path: file, sha256, size, media_type, stage });
  }
  await Promise.all(kept);
  files.push(await keepChecksums(run, files));
  const missing = [...finished.values()].flatMap(({ id, record, entry, lacks = [] }) =>
    entry === null
      ? [{ stage: id, why: record.error?.message ?? record.why }]
      : lacks.map((why) => ({ stage: id, why })),
  );
  const manifest: Manifest = {
    schema: 1,
    job_id: ticket.job_id,
    item_id: ticket.item_id,
    run: ticket.run,
    outcome: missing.length > 0 ? "partial" : "complete",
    missing,
    absent,
    clipscribe_version: world.version,
    pipeline: { name: pipeline.name, digest: pipeline.digest },
    source: ticket.source,
    info: ticket.info,
    files,
    stages: describeStages(run, finished),
    cost_usd: costUsd,
    published_at: world.clock.now().toISOString(),
  };
  const sealed = sealManifest(manifest);
  if (world.timestamps === null) return keepManifest(run, manifest, sealed);
  try {
    const answer = await world.timestamps.stamp(sealed.sha256, run.signal);
    const timestamp = await run.shelf.keepBlob(answer, run.signal);
    return await keepManifest(run, manifest, sealed, timestamp);
  } catch (thrown) {
    run.signal.throwIfAborted();
    const error = asClipscribeError(thrown);
    if (error.kind === "conflict" || error.kind === "cancelled") throw error;
    // Published all the same, and says what it lacks: the next run asks again.
    run.log.add(null, "warn", "the manifest has no timestamp", toErrorRecord(error));
    const why = `${TIMESTAMP_FILE}: ${error.message}`;
    const without: Manifest = {
      ...manifest,
      outcome: "partial",
      missing: [...missing, { stage: "publish", why }],
    };
    return keepManifest(run, without, sealManifest(without));
  }
}

function sealManifest(manifest: Manifest): CachedArtifact {
  return textArtifact(`${JSON.stringify(manifest, null, 2)}\n`, "application/json");
}

async function keepManifest(
  run: ItemRun,
  manifest: Manifest,
  sealed: CachedArtifact,
  timestamp?: Sha256,
): Promise<Published> {
  await run.shelf.asBlob(sealed, run.signal);
  const { sha256, size } = sealed;
  const ref = { sha256, size, run: run.ticket.run, ...(timestamp !== undefined && { timestamp }) };
  return { manifest, ref };
}

/** Two spaces between hash and name, as sha256sum writes and reads it. */
async function keepChecksums(
  run: ItemRun,
  files: Manifest["files"],
): Promise<Manifest["files"][number]> {
  const text = files.map(({ sha256, path }) => `${sha256}  ${path}\n`).join("");
  const artifact = textArtifact(text, "text/plain");
  await run.shelf.asBlob(artifact, run.signal);
  return {
    path: CHECKSUMS_FILE,
    sha256: artifact.sha256,
    size: artifact.size,
    media_type: artifact.media_type,
    stage: "publish",
  };
}

function describeStages(
  run: ItemRun,
  finished: ReadonlyMap<string, FinishedStage>,
): Manifest["stages"] {
  return run.pipeline.stages.flatMap((stage) => {
    const entry = finished.get(stage.id)?.entry;
    if (entry === undefined || entry === null) return [];
    return [
      {
        id: stage.id,
        uses: stage.uses,
        key: entry.key,
        code_digest: stage.codeDigest,
        params: stage.params,
        provider: entry.provider,
        model: entry.model,
        prompt_digest: entry.prompt_digest,
        usage: entry.usage,
        cost_usd: entry.cost,
        started_at: entry.started_at,
        ended_at: entry.ended_at,
        tools: entry.tools,
      },
    ];
  });
}

function textArtifact(text: string, mediaType: string): CachedArtifact {
  return {
    sha256: sha256Of(text),
    size: Buffer.byteLength(text),
    media_type: mediaType,
    file_name: null,
    inline: text,
  };
}
