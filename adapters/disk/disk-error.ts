/** What the disk says, in the project's kinds. */
import { ClipscribeError, DISK_FULL } from "../../core/errors.ts";
import type { ErrorKind } from "../../core/errors.ts";

const TRANSLATIONS: Record<string, [kind: ErrorKind, message: string, hint: string]> = {
  ENOSPC: ["transient", DISK_FULL, "free some space, then run again: nothing is lost"],
  EDQUOT: ["transient", `${DISK_FULL}: its quota is used up`, "free some space, then run again"],
  EROFS: ["denied", "the folder is read-only", "make it writable, or choose another folder"],
  EACCES: ["denied", "the folder may not be used", "give yourself access, or choose another"],
  EPERM: ["denied", "the folder may not be used", "give yourself access, or choose another"],
  EMFILE: ["transient", "too many files are open", "raise the limit with `ulimit -n 4096`"],
  ENFILE: ["transient", "too many files are open", "close other programs, then run again"],
  EIO: ["transient", "the disk reports an error", "check the disk, then run again"],
  ENOTDIR: ["config", "a file is where a folder should be", "move it away, then run again"],
};

export function codeOf(error: unknown): string {
  return String((error as { code?: unknown } | null)?.code ?? "");
}

export function describeDiskError(error: unknown, path: string): ClipscribeError {
  if (error instanceof ClipscribeError) return error;
  if ((error as { name?: unknown } | null)?.name === "AbortError") {
    return new ClipscribeError("cancelled", "the work was interrupted", { cause: error });
  }
  const known = TRANSLATIONS[codeOf(error)];
  const [kind, message, hint] = known ?? [
    "bug" as const,
    "the disk refused an operation",
    "report this with the log",
  ];
  return new ClipscribeError(kind, message, {
    details: { path, code: codeOf(error) || undefined },
    hint,
    cause: error,
  });
}
