/** Changes to config.yaml that keep what a person wrote there, and how they are shown beforehand. */
import { randomUUID } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

import { Document, isScalar, parseDocument } from "yaml";

import { ClipscribeError } from "../core/errors.ts";
import { SETTINGS } from "../core/settings.ts";

/** Only its owner may look into it. */
const PRIVATE_FILE = 0o600;
const PRIVATE_FOLDER = 0o700;

const HEAD = ` Settings of ClipScribe. \`clipscribe config show\` lists all names; \`clipscribe init\` changes some.`;

export type ConfigChange = Record<string, string | { file: string } | null>;

export interface EditedConfig {
  before: string;
  after: string;
}

/** Pure: comments, order and other settings stay. `null` takes a setting out. @throws `config` */
export function editConfig(before: string, change: ConfigChange): EditedConfig {
  const document = before.trim() === "" ? new Document({}) : parseDocument(before);
  if (document.errors.length > 0 || !isMapping(document)) {
    throw new ClipscribeError("config", "config.yaml can't be changed: it is no list of settings", {
      hint: "correct it, or move it away, then run again",
    });
  }
  if (before.trim() === "") document.commentBefore = HEAD;
  for (const [name, value] of Object.entries(change)) {
    if (value === null) document.delete(name);
    else if (typeof value === "string") setText(document, name, value);
    else document.set(name, document.createNode(value, { flow: true }));
  }
  return { before, after: document.toString({ lineWidth: 100 }) };
}

/** A comment behind the value stays. */
function setText(document: Document, name: string, value: string): void {
  const node = document.get(name, true);
  if (isScalar(node)) node.value = value;
  else document.set(name, value);
}

/** Pure: the lines that go and come, as `diff` marks them; values of secrets are hidden. */
export function describeEdit({ before, after }: EditedConfig): string[] {
  const old = before.split("\n").filter(Boolean);
  const now = after.split("\n").filter(Boolean);
  return [
    ...old.filter((line) => !now.includes(line)).map((line) => `- ${hideSecret(line)}`),
    ...now.filter((line) => !old.includes(line)).map((line) => `+ ${hideSecret(line)}`),
  ];
}

function hideSecret(line: string): string {
  const name = /^\s*([A-Z0-9_]+)\s*:/.exec(line)?.[1];
  const isSecret = SETTINGS.some((spec) => spec.name === name && spec.secret === true);
  // Where it is kept is no secret; a key that stands here itself is.
  return isSecret && !/:\s*(?:\{|$)/.test(line) ? `${name}: (hidden)` : line;
}

function isMapping(document: Document): boolean {
  const value = document.toJS({ maxAliasCount: 0 }) as unknown;
  return typeof value === "object" && !Array.isArray(value);
}

export function readConfigText(file: string): string {
  return existsSync(file) ? readFileSync(file, "utf8") : "";
}

/** By rename, so that nobody reads half of it. */
export function writePrivate(file: string, text: string): void {
  try {
    mkdirSync(dirname(file), { recursive: true, mode: PRIVATE_FOLDER });
    const partial = join(dirname(file), `.${randomUUID()}.part`);
    writeFileSync(partial, text, { mode: PRIVATE_FILE });
    chmodSync(partial, PRIVATE_FILE);
    renameSync(partial, file);
  } catch (cause) {
    throw new ClipscribeError("denied", "the settings can't be written", {
      details: { file },
      hint: "make its folder writable, then run again",
      cause,
    });
  }
}
