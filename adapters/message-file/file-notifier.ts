/**
 * A message as a text file: where nothing else is set up, and on one machine. Named by job and id, so
 * the same message is one file; whole or not there, by one rename.
 */
import { mkdir, open, rename, rm } from "node:fs/promises";
import { join } from "node:path";

import { ClipscribeError, asClipscribeError } from "../../core/errors.ts";
import { safeLine, safeText } from "../../core/safe-text.ts";
import type { Notifier } from "../../ports/notifier.ts";

const ID_CHARS = 12;

export function openFileNotifier({ dir }: { dir: string }): Notifier {
  return {
    channel: "file",
    async send({ id, name, subject, text, createdAt }, _to, { signal } = {}) {
      if (signal?.aborted === true) {
        throw new ClipscribeError("cancelled", "the message was not written");
      }
      const file = join(dir, `${name}.${id.slice(0, ID_CHARS)}.txt`);
      const temporary = `${file}.${process.pid}.part`;
      const lines = [
        safeLine(subject),
        createdAt.toISOString(),
        `message ${id}`,
        "",
        safeText(text),
      ];
      try {
        await mkdir(dir, { recursive: true });
        await writeSynced(temporary, lines.join("\n"));
        await rename(temporary, file);
      } catch (error) {
        await rm(temporary, { force: true });
        throw describe(error, dir);
      }
    },
  };
}

async function writeSynced(path: string, text: string): Promise<void> {
  await using file = await open(path, "w", 0o644);
  await file.writeFile(text);
  await file.sync();
}

function describe(error: unknown, dir: string): ClipscribeError {
  const { code } = error as { code?: string };
  if (code === undefined) return asClipscribeError(error);
  const kind = code === "EACCES" || code === "EROFS" || code === "EPERM" ? "denied" : "transient";
  return new ClipscribeError(kind, "a message's file can't be written", {
    details: { dir, code },
    hint: "make the folder writable, and see that the disk has room",
    cause: error,
  });
}
