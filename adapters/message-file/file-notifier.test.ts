import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { describeNotifier } from "../../ports/notifier.contract.ts";
import { openFileNotifier } from "./file-notifier.ts";

describeNotifier("file", async (t) => {
  const home = mkdtempSync(join(tmpdir(), "clipscribe-file-"));
  t.after(() => rmSync(home, { recursive: true, force: true }));
  const dir = join(home, "messages");
  return {
    notifier: openFileNotifier({ dir }),
    to: null,
    received: () => {
      const names = readdirSync(home).includes("messages") ? readdirSync(dir) : [];
      const all = names.map((name) => {
        const content = readFileSync(join(dir, name), "utf8");
        const [head = ""] = content.split("\n\n");
        const id = /^message ([0-9a-f]+)$/m.exec(head)?.[1] ?? "";
        return { id, subject: head.split("\n")[0] ?? null, content, headers: head.split("\n") };
      });
      return Promise.resolve(all);
    },
  };
});
