/** `talk.mp4.yaml`: what a person wants of `talk.mp4`, checked like the pipeline file. */
import { parseDocument } from "yaml";

import { didYouMean } from "../core/did-you-mean.ts";
import { DropOptions } from "../core/drop-records.ts";
import { ClipscribeError } from "../core/errors.ts";

const MAX_CHARS = 16 * 1024;
const NAMES = Object.keys(DropOptions.shape);

/** @throws `contract` naming the line that is wrong: a budget that is misspelled must not be none. */
export function parseDropOptions(text: string, file: string): DropOptions {
  if (text.length > MAX_CHARS) throw refuse(file, "it is too long");
  const document = parseDocument(text.replace(/^\ufeff/, ""), { strict: true, uniqueKeys: true });
  const [problem] = document.errors;
  if (problem !== undefined) {
    throw refuse(file, problem.message.split("\n")[0] ?? "it is no YAML");
  }
  let value: unknown;
  try {
    value = (document.toJS({ maxAliasCount: 0 }) as unknown) ?? {};
  } catch (cause) {
    throw refuse(file, "it refers to itself", cause);
  }
  if (typeof value !== "object" || Array.isArray(value)) throw refuse(file, "write `name: value`");
  for (const name of Object.keys(value as object)) {
    if (NAMES.includes(name)) continue;
    const meant = didYouMean(name, NAMES);
    throw refuse(
      file,
      `there is no option ${name.slice(0, 40)}: ${meant ?? `there are ${NAMES.join(", ")}`}`,
    );
  }
  const parsed = DropOptions.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw refuse(file, `${issue?.path.join(".") ?? ""}: ${issue?.message ?? "can't be used"}`);
}

function refuse(file: string, why: string, cause?: unknown): ClipscribeError {
  return new ClipscribeError("contract", `${file}: ${why}`, {
    hint: "correct it or leave it out, then drop both again",
    cause,
  });
}
