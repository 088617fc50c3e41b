/** Folders that the settings name. */
import { mkdirSync } from "node:fs";

import { ClipscribeError } from "../core/errors.ts";

/** @throws `denied` where it can't be made. */
export function makeFolder(path: string): void {
  try {
    mkdirSync(path, { recursive: true });
  } catch (cause) {
    throw new ClipscribeError("denied", "the folder can't be made", {
      details: { path },
      hint: "make its parent writable, or set CLIPSCRIBE_HOME to another",
      cause,
    });
  }
}
