/** Records of a version to come: left as they are, for whoever knows them. */
import { ClipscribeError } from "./errors.ts";

/** Of every record that this version writes. */
const SCHEMA = 1;

/** @throws `contract` for a record that says it is of a later schema; whatever else it is passes. */
export function assertKnownVersion(value: unknown, what: string, key: string): void {
  const schema: unknown =
    typeof value === "object" && value !== null && "schema" in value ? value.schema : undefined;
  if (typeof schema !== "number" || schema <= SCHEMA) return;
  throw new ClipscribeError("contract", `${what} was written by a newer version of clipscribe`, {
    details: { key, schema },
    hint: "update clipscribe here; nothing is lost, and whoever has the newer one goes on with it",
  });
}
