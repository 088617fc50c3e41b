/**
 * A pipeline as it is pushed: everything its digest covers, so that any runner makes the same of it.
 * `pipelines/{digest}/pipeline.json` says what it consists of, its bundles lie beside it under the
 * names of their content, `pipelines/current.json` points at the one in force. None is ever changed.
 * A machine keeps the same index of what its items were taken on with.
 */
import { createPrivateKey, createPublicKey, sign, verify } from "node:crypto";

import { z } from "zod";

import { digestOf } from "./digest.ts";
import { ClipscribeError } from "./errors.ts";
import { Sha256 } from "./ids.ts";

const instant = z.iso.datetime();
/** A pipeline file has a few kilobytes; a text that a param names at most 1 MiB. */
const MAX_YAML_CHARS = 256 * 1024;
const MAX_TEXT_CHARS = 1024 * 1024;
/** Pushes and rollbacks that `pipeline list` can tell of, and `rollback` can go back to. */
export const MAX_HISTORY = 100;

export const PipelineIndex = z.object({
  schema: z.literal(1),
  digest: Sha256,
  name: z.string(),
  /** The text of pipeline.yaml. */
  yaml: z.string().max(MAX_YAML_CHARS),
  /** `uses` → the digest of its bundle, `{digest}.mjs`. */
  stages: z.record(z.string(), Sha256),
  /** Bundles that the stages' bundles import by name: `zod-{sha256}.mjs`. */
  shared: z.array(z.string().regex(/^[a-z0-9]+-[0-9a-f]{64}\.mjs$/)),
  /** Path as the params have it → content. */
  texts: z.record(z.string(), z.string().max(MAX_TEXT_CHARS)),
  clipscribe_version: z.string(),
});
export type PipelineIndex = z.infer<typeof PipelineIndex>;

export const PipelineChange = z.object({
  digest: Sha256,
  name: z.string(),
  action: z.enum(["push", "rollback"]),
  at: instant,
  /** The machine that it was done on. */
  by: z.string(),
  /** What differs from the one before, a line each. */
  changes: z.array(z.string()),
});
export type PipelineChange = z.infer<typeof PipelineChange>;

export const PipelinePointer = z.object({
  schema: z.literal(1),
  /** The one in force. */
  digest: Sha256,
  /** Newest first. */
  history: z.array(PipelineChange),
});
export type PipelinePointer = z.infer<typeof PipelinePointer>;

export const PipelineSignature = z.object({
  schema: z.literal(1),
  algorithm: z.literal("ed25519"),
  /** Base64, of the index's digest and canonical JSON: see `signedText`. */
  signature: z.string(),
});
export type PipelineSignature = z.infer<typeof PipelineSignature>;

export const INDEX_FILE = "pipeline.json";
export const SIGNATURE_FILE = "signature.json";

/** The pointer after a push or a rollback. */
export function movePointer(
  before: PipelinePointer | undefined,
  change: PipelineChange,
): PipelinePointer {
  const history = [change, ...(before?.history ?? [])].slice(0, MAX_HISTORY);
  return { schema: 1, digest: change.digest, history };
}

/**
 * What a rollback goes back to: the named one, else what was in force before the present one.
 *
 * @throws `config` where there is none.
 */
export function findEarlier(pointer: PipelinePointer, named: string | undefined): PipelineChange {
  const matches = ({ digest }: PipelineChange): boolean =>
    named === undefined ? digest !== pointer.digest : digest.startsWith(named);
  const found = pointer.history.find(matches);
  if (found !== undefined) return found;
  throw new ClipscribeError("config", "there is no such earlier pipeline", {
    hint: "`clipscribe pipeline list` shows those that were in force",
  });
}

/** @param privateKey PEM of an Ed25519 key. @throws `config` for one that can't be used. */
export function signPipeline(privateKey: string, index: PipelineIndex): PipelineSignature {
  try {
    const signature = sign(null, signedText(index), createPrivateKey(privateKey));
    return { schema: 1, algorithm: "ed25519", signature: signature.toString("base64") };
  } catch (cause) {
    throw new ClipscribeError("config", "the key to sign pipelines with can't be used", {
      hint: "make one: openssl genpkey -algorithm ed25519 -out pipeline.key",
      cause,
    });
  }
}

/** @param publicKey PEM of an Ed25519 key. @throws `config` for one that can't be used. */
export function isSignedBy(
  publicKey: string,
  index: PipelineIndex,
  signed: PipelineSignature,
): boolean {
  try {
    const signature = Buffer.from(signed.signature, "base64");
    return verify(null, signedText(index), createPublicKey(publicKey), signature);
  } catch (cause) {
    throw new ClipscribeError("config", "the key to verify pipelines with can't be used", {
      hint: "make it of the private one: openssl pkey -in pipeline.key -pubout",
      cause,
    });
  }
}

/** The index names every bundle by its content, so that its signature covers them all. */
function signedText(index: PipelineIndex): Uint8Array {
  return new TextEncoder().encode(`clipscribe pipeline ${index.digest} ${digestOf(index)}\n`);
}
