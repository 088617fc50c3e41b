/** The agent as the command line starts it, on a disk that folds names or fails now and then. */
import { setTimeout as delay } from "node:timers/promises";

import { dropFiles } from "../../adapters/drop-files/drop-files.ts";
import { systemIo } from "../../bin/io.ts";
import { up } from "../../bin/up.ts";
import { ClipscribeError } from "../../core/errors.ts";
import type { DropFiles } from "../../ports/drop-files.ts";
import { foldedFiles } from "./folded-files.ts";

const { FOLDED = "", DISK_FAULTS = "0", PIPELINE = "" } = process.env;
const share = Number(DISK_FAULTS);

/** A full disk, a slow one, one that forgets to answer: before the work, and after it. */
function flakyFiles(files: DropFiles): DropFiles {
  const flaky =
    <Args extends unknown[], Value>(work: (...args: Args) => Promise<Value>) =>
    async (...args: Args): Promise<Value> => {
      if (Math.random() < share) throw new ClipscribeError("transient", "the disk is full");
      if (Math.random() < share) await delay(50);
      const value = await work(...args);
      if (Math.random() < share) throw new ClipscribeError("transient", "the answer was lost");
      return value;
    };
  return {
    ...files,
    list: flaky(files.list),
    rename: flaky(files.rename),
    nameNew: flaky(files.nameNew),
    writeNew: flaky(files.writeNew),
    sync: flaky(files.sync),
  };
}

const folded = FOLDED === "" ? dropFiles : foldedFiles(dropFiles);
process.exitCode = await up(
  { pipeline: PIPELINE, json: true, plain: true, verbose: false },
  systemIo(),
  { files: share === 0 ? folded : flakyFiles(folded) },
);
