/** Binds a stage's inputs to what is there: by digest for its key, by content for its run. */
import { digestOf } from "../core/digest.ts";
import type { CheckedStage } from "../core/pipeline.ts";
import { SIDECAR_PREFIX, isSidecar } from "../core/records.ts";
import type { CachedArtifact } from "../core/records.ts";
import type { InputFile, Provenance } from "../core/stage.ts";
import type { SentInput } from "../ports/stage-pool.ts";
import type { FinishedStage, ItemRun } from "./item-run.ts";

export type BoundInput =
  | { kind: "absent"; digest: undefined }
  | { kind: "artifact"; digest: string; artifact: CachedArtifact; json: boolean; name: string }
  | { kind: "source"; digest: string }
  | { kind: "sidecars"; digest: string; files: { artifact: CachedArtifact; name: string }[] }
  | { kind: "item"; digest: string }
  | { kind: "provenance"; digest: undefined };

export interface BoundInputs {
  inputs: Record<string, BoundInput>;
  /** The required artifact that is missing, if one is: `stage.artifact`. */
  missing: string | undefined;
}

export function bindInputs(
  run: Pick<ItemRun, "ticket">,
  stage: CheckedStage,
  finished: ReadonlyMap<string, FinishedStage>,
): BoundInputs {
  const inputs: Record<string, BoundInput> = {};
  let missing: string | undefined;
  for (const [name, binding] of Object.entries(stage.inputs)) {
    const descriptor = stage.contract.input[name];
    if (binding.from === "built-in") {
      inputs[name] = bindBuiltIn(run, binding.name);
      continue;
    }
    const artifact =
      binding.from === "stage"
        ? finished.get(binding.stage)?.entry?.artifacts[binding.artifact]
        : undefined;
    if (artifact === undefined) {
      if (descriptor?.optional !== true && binding.from === "stage") {
        missing ??= `${binding.stage}.${binding.artifact}`;
      }
      inputs[name] = { kind: "absent", digest: undefined };
    } else {
      inputs[name] = {
        kind: "artifact",
        digest: artifact.sha256,
        artifact,
        json: descriptor?.kind === "json",
        name: artifact.file_name ?? name,
      };
    }
  }
  return { inputs, missing };
}

function bindBuiltIn(run: Pick<ItemRun, "ticket">, name: string): BoundInput {
  const { ticket } = run;
  if (name === "source") return { kind: "source", digest: ticket.source.sha256 };
  if (name === "item") return { kind: "item", digest: digestOf(ticket.info) };
  if (name === "provenance") return { kind: "provenance", digest: undefined };
  const files = ticket.artifacts.filter(isSidecar).map((each) => ({
    name: each.name.slice(SIDECAR_PREFIX.length),
    artifact: {
      sha256: each.sha256,
      size: each.size,
      media_type: "text/plain",
      file_name: null,
      inline: null,
    },
  }));
  const digest = digestOf(files.map((each) => [each.name, each.artifact.sha256]));
  return { kind: "sidecars", digest, files };
}

/** Brings the content of the inputs to where the stage can read it. @throws ArtifactLost. */
export async function sendInputs(
  run: ItemRun,
  bound: Record<string, BoundInput>,
  provenance: Provenance,
): Promise<Record<string, SentInput>> {
  const sent: Record<string, SentInput> = {};
  for (const [name, input] of Object.entries(bound))
    sent[name] = await sendInput(run, input, provenance);
  return sent;
}

async function sendInput(
  run: ItemRun,
  input: BoundInput,
  provenance: Provenance,
): Promise<SentInput> {
  switch (input.kind) {
    case "absent":
      return { kind: "absent" };
    case "provenance":
      return { kind: "json", text: JSON.stringify(provenance) };
    case "item":
      return { kind: "json", text: JSON.stringify(run.ticket.info) };
    case "artifact": {
      if (input.json) {
        return { kind: "json", text: await run.shelf.readText(input.artifact, run.signal) };
      }
      return {
        kind: "file",
        file: await run.files.artifact(input.artifact, input.name, run.signal),
      };
    }
    case "sidecars": {
      const files = input.files.map(({ artifact, name }) =>
        run.files.artifact(artifact, name, run.signal),
      );
      return { kind: "files", files: await Promise.all(files) };
    }
    case "source":
      return { kind: "file", file: await describeSource(run) };
  }
}

async function describeSource(run: ItemRun): Promise<InputFile> {
  const { source } = run.ticket;
  const { path } = await run.files.source(run.signal);
  return {
    path,
    sha256: source.sha256,
    sizeBytes: source.size,
    mediaType: source.media_type,
    name: source.filename,
  };
}
