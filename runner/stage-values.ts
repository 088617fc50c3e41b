/**
 * Values across the border of a stage: artifacts in, checked by its contract; outputs out, checked
 * again, serialised and hashed. Runs in the worker thread, so that hashing never blocks the runner.
 */
import { createHash } from "node:crypto";
import { lstat, open } from "node:fs/promises";
import { isAbsolute, relative } from "node:path";

import { z } from "zod";

import { sha256Of } from "../core/digest.ts";
import { ClipscribeError } from "../core/errors.ts";
import type { Sha256 } from "../core/ids.ts";
import type { OutputFile, StageDefinition } from "../core/stage.ts";
import type { MadeArtifact, SentInput } from "../ports/stage-pool.ts";
import { heldText } from "./written-files.ts";

/** One JSON value of a stage may be so large; a transcript of ten hours is about 5 MB. */
const MAX_JSON_CHARS = 256 * 1024 * 1024;

/** @throws `contract` if an input does not fit what the stage declares. */
export function parseInputs(
  definition: StageDefinition,
  sent: Record<string, SentInput>,
): Record<string, unknown> {
  const values: Record<string, unknown> = {};
  for (const [name, descriptor] of Object.entries(definition.input)) {
    const input = sent[name] ?? { kind: "absent" };
    if (input.kind === "absent") {
      if (!descriptor.optional) {
        throw new ClipscribeError("contract", "an input of the stage is missing", {
          details: { input: name },
          hint: "mark the stage `optional: true`, or the input optional in its contract",
        });
      }
      values[name] = undefined;
    } else if (input.kind === "json") {
      values[name] =
        descriptor.kind === "json"
          ? checkJson(descriptor.schema, parseJson(input.text), `input ${name}`)
          : undefined;
    } else {
      values[name] = input.kind === "files" ? input.files : input.file;
    }
  }
  return values;
}

/** @throws `contract` if params do not fit; the pipeline's check has found this before. */
export function parseParams(definition: StageDefinition, params: unknown): unknown {
  return checkJson(definition.params, params, "params");
}

/**
 * Checks, serialises and hashes what a stage returned. Files must lie in its scratch folder.
 *
 * @throws `contract` for an output that is missing, undeclared or does not fit its schema.
 */
export async function collectOutputs(
  definition: StageDefinition,
  returned: unknown,
  scratchDir: string,
): Promise<Record<string, MadeArtifact>> {
  if (typeof returned !== "object" || returned === null) {
    throw new ClipscribeError("contract", "the stage returned no object of outputs");
  }
  const values = returned as Record<string, unknown>;
  const undeclared = Object.keys(values).find((name) => !(name in definition.output));
  if (undeclared !== undefined) {
    throw new ClipscribeError("contract", "the stage returned an output it does not declare", {
      details: { output: undeclared },
    });
  }
  const made: Record<string, MadeArtifact> = {};
  for (const [name, descriptor] of Object.entries(definition.output)) {
    const value = values[name];
    if (value === undefined) {
      if (descriptor.optional) continue;
      throw new ClipscribeError("contract", "the stage did not return a declared output", {
        details: { output: name },
      });
    }
    if (descriptor.kind === "json") {
      const checked = checkJson(descriptor.schema, value, `output ${name}`);
      made[name] = jsonArtifact(checked, descriptor.fileName);
      continue;
    }
    const text = heldText(value);
    const hashed = text === undefined ? await hashOutput(value, name, scratchDir) : hashText(text);
    made[name] = {
      ...hashed,
      mediaType: descriptor.mediaType,
      fileName: descriptor.fileName,
    };
  }
  return made;
}

/** Serialises a JSON artifact: indented when people will read it as a published file. */
function jsonArtifact(value: unknown, fileName: string | null): MadeArtifact {
  const text = fileName === null ? JSON.stringify(value) : `${JSON.stringify(value, null, 2)}\n`;
  return { ...hashText(text), mediaType: "application/json", fileName };
}

type Hashed = Pick<MadeArtifact, "sha256" | "sizeBytes" | "content">;

function hashText(text: string): Hashed {
  return {
    sha256: sha256Of(text),
    sizeBytes: Buffer.byteLength(text),
    content: { kind: "text", text },
  };
}

async function hashOutput(value: unknown, name: string, scratchDir: string): Promise<Hashed> {
  const path = (value as Partial<OutputFile> | null)?.path;
  const inside = path === undefined ? "" : relative(scratchDir, path);
  if (path === undefined || inside === "" || inside.startsWith("..") || isAbsolute(inside)) {
    throw new ClipscribeError("contract", "a file output must come from ctx.write or outputFile", {
      details: { output: name },
    });
  }
  const info = await lstat(path).catch((cause: unknown) => {
    throw new ClipscribeError("contract", "the stage returned a file it did not make", {
      details: { output: name },
      cause,
    });
  });
  if (!info.isFile()) {
    throw new ClipscribeError("contract", "a file output must be a regular file", {
      details: { output: name },
    });
  }
  const { sha256, sizeBytes } = await hashFile(path);
  return { sha256, sizeBytes, content: { kind: "file", path } };
}

/** Larger reads gain little: 1.33 against 1.45 GB/s were measured with 4 MiB. */
const HASH_READ_BYTES = 1024 * 1024;

/** Reads a file once, into one buffer no larger than the file: many small ones cost no garbage. */
export async function hashFile(
  path: string,
  signal?: AbortSignal,
): Promise<{ sha256: Sha256; sizeBytes: number }> {
  const hash = createHash("sha256");
  let sizeBytes = 0;
  await using file = await open(path, "r");
  const { size } = await file.stat();
  // One byte more, so that the end is seen by the same read.
  const buffer = Buffer.allocUnsafe(Math.min(size + 1, HASH_READ_BYTES));
  for (;;) {
    signal?.throwIfAborted();
    const { bytesRead } = await file.read(buffer, 0, buffer.length);
    if (bytesRead === 0) break;
    hash.update(buffer.subarray(0, bytesRead));
    sizeBytes += bytesRead;
    if (bytesRead < buffer.length && sizeBytes >= size) break;
  }
  return { sha256: hash.digest("hex") as Sha256, sizeBytes };
}

function parseJson(text: string): unknown {
  if (text.length > MAX_JSON_CHARS) {
    throw new ClipscribeError("contract", "a JSON artifact is too large", {
      details: { chars: text.length },
    });
  }
  return JSON.parse(text) as unknown;
}

function checkJson<Value>(schema: z.ZodType<Value>, value: unknown, what: string): Value {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw new ClipscribeError("contract", `${what} does not fit its schema`, {
    details: { problem: z.prettifyError(result.error).slice(0, 300) },
  });
}
