/**
 * What a bucket's rules are made of: which endings a bare drop may have, and how long things are kept. By
 * the pipeline that holds, and without running anything of it.
 * Runners adopt drops by the pushed one; pipeline.yaml's word counts before the first push.
 */
import { asClipscribeError } from "../core/errors.ts";
import { parsePipeline } from "../core/pipeline-parse.ts";
import type { Pipeline } from "../core/pipeline.ts";
import { DEFAULT_RETENTION } from "../core/retention.ts";
import type { Retention } from "../core/retention.ts";
import type { ObjectStore } from "../ports/object-store.ts";
import { readPipelineIndex, readPointer } from "../sync/pipeline-store.ts";
import { findPipelineFile } from "./find-pipeline.ts";
import type { Io } from "./io.ts";
import { PipelineRefused, readPipelineText } from "./load-pipeline.ts";

export interface AcceptedDrops {
  accept: readonly string[];
  retention: Retention;
  /** Whose word that is, for people. */
  by: string;
}

/** `store`: null where there is none to ask. @throws `config` where pipeline.yaml is asked, and is bad. */
export async function readAcceptedDrops(io: Io, store: ObjectStore | null): Promise<AcceptedDrops> {
  let why = "";
  if (store !== null) {
    try {
      const pushed = await readPushed(store);
      if (pushed !== undefined) return pushed;
    } catch (thrown) {
      const error = asClipscribeError(thrown);
      // A bucket that is not there yet holds none.
      if (error.kind !== "config") why = `; the pushed one can't be read: ${error.message}`;
    }
  }
  const file = findPipelineFile(io, undefined);
  const text = readPipelineText(file);
  const parsed = parsePipeline(text, file);
  if (!parsed.ok) throw new PipelineRefused(file, text, parsed.problems);
  return { ...rulesOf(parsed.value.pipeline), by: `${file}${why}` };
}

async function readPushed(store: ObjectStore): Promise<AcceptedDrops | undefined> {
  const found = await readPointer(store);
  if (found === undefined) return undefined;
  const { digest } = found.pointer;
  const parsed = parsePipeline((await readPipelineIndex(store, digest)).yaml, "pipeline.yaml");
  if (!parsed.ok) throw new Error("it does not fit this version");
  return { ...rulesOf(parsed.value.pipeline), by: `the pushed pipeline ${digest.slice(0, 12)}` };
}

function rulesOf({
  accept,
  retention = DEFAULT_RETENTION,
}: Pipeline): Pick<AcceptedDrops, "accept" | "retention"> {
  return { accept, retention };
}
