/** `clipscribe schema [WHAT]`: for editors, and for programs that read what is published. */
import { didYouMean } from "../core/did-you-mean.ts";
import { ClipscribeError } from "../core/errors.ts";
import { SCHEMAS, writeSchema } from "../core/schemas.ts";
import type { Io } from "./io.ts";

export function schema(what: string, io: Io): void {
  const text = Object.hasOwn(SCHEMAS, what) ? writeSchema(what) : undefined;
  if (text === undefined) {
    const names = Object.keys(SCHEMAS);
    throw new ClipscribeError("config", "there is no schema of that name", {
      details: { name: what },
      hint: didYouMean(what, names) ?? `use one of ${names.join(", ")}`,
    });
  }
  io.stdout(text);
}
