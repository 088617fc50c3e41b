/**
 * What the laptop made of an item before its ticket, from both ends: as the ticket's lines, and as
 * a finished stage of the run. The lines are believed only for the same code, params and inputs;
 * the bytes only where they hash to what the ticket says.
 */
import { isSamePreparation } from "../core/edge.ts";
import { parseObjectKey } from "../core/keys.ts";
import { stageKey } from "../core/plan.ts";
import type { CheckedStage } from "../core/pipeline.ts";
import type {
  CachedArtifact,
  PreparedStage,
  StageRecord,
  Ticket,
  TicketArtifact,
} from "../core/records.ts";
import { INLINE_BYTES } from "./artifact-shelf.ts";
import type { StageIdentity } from "./identify-stage.ts";
import type { FinishedStage, ItemRun } from "./item-run.ts";

/** The part of a ticket that tells of edge stages. */
export interface Prepared {
  prepared: PreparedStage[];
  artifacts: TicketArtifact[];
}

/** Describes finished edge stages for a ticket. Their artifacts are blobs once this resolves. */
export async function describePrepared(
  run: ItemRun,
  finished: ReadonlyMap<string, FinishedStage>,
  device: string,
): Promise<Prepared> {
  const prepared: PreparedStage[] = [];
  const artifacts: TicketArtifact[] = [];
  for (const { id, record, entry, ingredients, lacks = [] } of finished.values()) {
    // A stage that lacks an input says so again wherever the item is worked on.
    if (record.state === "skipped") continue;
    const now = run.world.clock.now().toISOString();
    prepared.push({
      stage: id,
      ingredients,
      why: record.why,
      device,
      made_by: entry?.made_by ?? run.world.runner,
      started_at: entry?.started_at ?? record.ended_at ?? now,
      ended_at: entry?.ended_at ?? record.ended_at ?? now,
      tools: entry?.tools ?? {},
      usage: entry?.usage ?? {},
      provider: entry?.provider ?? null,
      model: entry?.model ?? null,
      lacks: [...lacks],
      error: record.error,
    });
    const made = Object.entries(entry?.artifacts ?? {});
    const kept = await Promise.all(
      made.map(async ([name, artifact]): Promise<TicketArtifact> => {
        const { sha256, size, media_type, file_name } = artifact;
        const key = await run.shelf.asBlob(artifact, run.signal);
        return { name: `${id}.${name}`, sha256, size, key, media_type, file_name };
      }),
    );
    artifacts.push(...kept);
  }
  return { prepared, artifacts };
}

/**
 * The stage as the ticket has it: over the same code, params and inputs, its artifacts there and,
 * where they are published without anybody reading them before, hashed. Undefined: it has to be
 * looked for elsewhere. @throws ArtifactLost for an artifact that is not what its name says.
 */
export async function takePrepared(
  run: ItemRun,
  stage: CheckedStage,
  identity: Pick<StageIdentity, "ingredients">,
): Promise<FinishedStage | undefined> {
  const made = run.ticket.prepared.find(({ stage: id }) => id === stage.id);
  if (made === undefined || !isSamePreparation(made.ingredients, identity.ingredients)) {
    return undefined;
  }
  const { ingredients, lacks, error } = made;
  // It could be left out then, and is wanted now.
  if (error !== null && !stage.optional) return undefined;
  const why = `made on ${made.device}${made.why === "reused" ? "" : `: ${made.why}`}`;
  const key = stageKey(ingredients);
  const record: StageRecord = {
    state: "reused",
    why,
    started_at: made.started_at,
    ended_at: made.ended_at,
    cost: 0,
    cache: key,
    usage: made.usage,
    tries: 0,
    error: null,
  };
  if (error !== null) {
    const failed: StageRecord = { ...record, state: "failed", cache: null, error };
    return { id: stage.id, record: failed, entry: null, ingredients };
  }
  const artifacts = await findArtifacts(run, stage, run.ticket);
  if (artifacts === undefined) return undefined;
  const entry = {
    schema: 1 as const,
    kind: "stage" as const,
    stage: stage.id,
    key,
    ingredients,
    artifacts,
    usage: made.usage,
    cost: 0,
    provider: made.provider,
    model: made.model,
    prompt_digest: null,
    tools: made.tools,
    started_at: made.started_at,
    ended_at: made.ended_at,
    made_by: made.made_by,
    checksum: key,
  };
  return { id: stage.id, record, entry, ingredients, lacks };
}

async function findArtifacts(
  run: ItemRun,
  stage: CheckedStage,
  ticket: Ticket,
): Promise<Record<string, CachedArtifact> | undefined> {
  const artifacts: Record<string, CachedArtifact> = {};
  for (const [name, descriptor] of Object.entries(stage.contract.output)) {
    const listed = ticket.artifacts.find((each) => each.name === `${stage.id}.${name}`);
    if (listed === undefined) {
      if (descriptor.optional) continue;
      return undefined;
    }
    const found = await findArtifact(run, listed, descriptor.kind === "json");
    if (found === undefined) return undefined;
    if (run.pipeline.publish.some((file) => file.stage === stage.id && file.artifact === name)) {
      await run.files.artifact(found, found.file_name ?? name, run.signal);
    }
    artifacts[name] = found;
  }
  return artifacts;
}

/** A short JSON value is read at once, and so hashed; every stage that wants it then has it. */
async function findArtifact(
  run: ItemRun,
  { sha256, size, key, media_type, file_name }: TicketArtifact,
  isJson: boolean,
): Promise<CachedArtifact | undefined> {
  // A blob is found by its content: a ticket can't point at somebody else's.
  if (parseObjectKey(key) !== run.keys.blob(sha256)) return undefined;
  const artifact: CachedArtifact = {
    sha256,
    size,
    media_type: media_type ?? "application/octet-stream",
    file_name,
    inline: null,
  };
  if (!(await run.shelf.has(artifact, run.signal))) return undefined;
  if (!isJson || size > INLINE_BYTES) return artifact;
  return { ...artifact, inline: await run.shelf.readText(artifact, run.signal) };
}
