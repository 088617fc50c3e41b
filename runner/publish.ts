/**
 * Builds what is published. Everything is a blob first; `manifest.json` names it all; one
 * compare-and-swap of the item's state, elsewhere, makes it the truth.
 */
import { sha256Of } from "../core/digest.ts";
import { asClipscribeError, toErrorRecord } from "../core/errors.ts";
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
  const kept: CachedArtifact[] = [];
  for (const { file, stage, artifact } of pipeline.publish) {
    const done = finished.get(stage);
    const made = done?.entry?.artifacts[artifact];
    if (made === undefined) {
      const why = done?.entry == null ? `stage ${stage} is missing` : "this source has none";
      absent.push({ path: file, why });
      continue;
    }
    kept.push(made);
    const { sha256, size, media_type } = made;
    files.push({ path: file, sha256, size, media_type, stage });
  }
  const checksums = describeChecksums(files);
  kept.push(checksums.artifact);
  files.push(checksums.file);
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
  // Together: they share the flush of their folder, and nothing names them yet.
  if (world.timestamps === null) {
    await keepAll(run, [...kept, sealed]);
    return { manifest, ref: refTo(run, sealed) };
  }
  await keepAll(run, kept);
  try {
    const answer = await world.timestamps.stamp(sealed.sha256, run.signal);
    const timestamp = await run.shelf.keepBlob(answer, run.signal);
    await keepAll(run, [sealed]);
    return { manifest, ref: { ...refTo(run, sealed), timestamp } };
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
    const resealed = sealManifest(without);
    await keepAll(run, [resealed]);
    return { manifest: without, ref: refTo(run, resealed) };
  }
}

async function keepAll(run: ItemRun, artifacts: readonly CachedArtifact[]): Promise<void> {
  await Promise.all(artifacts.map(async (artifact) => run.shelf.asBlob(artifact, run.signal)));
}

function refTo(run: ItemRun, { sha256, size }: CachedArtifact): ManifestRef {
  return { sha256, size, run: run.ticket.run };
}

function sealManifest(manifest: Manifest): CachedArtifact {
  return textArtifact(`${JSON.stringify(manifest, null, 2)}\n`, "application/json");
}

/** Two spaces between hash and name, as sha256sum writes and reads it. */
function describeChecksums(files: Manifest["files"]): {
  artifact: CachedArtifact;
  file: Manifest["files"][number];
} {
  const text = files.map(({ sha256, path }) => `${sha256}  ${path}\n`).join("");
  const artifact = textArtifact(text, "text/plain");
  const { sha256, size, media_type } = artifact;
  return {
    artifact,
    file: { path: CHECKSUMS_FILE, sha256, size, media_type, stage: "publish" },
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
        made_by: entry.made_by,
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
