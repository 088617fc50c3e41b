import assert from "node:assert/strict";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";

import { planNotice, showNotice } from "./desktop-notice.ts";

const HOSTILE = '"; do shell script "touch /tmp/canary" -- $(id) `id`';

describe("a notice on the desktop", () => {
  test("on a Mac the text is an argument of a fixed script", () => {
    const [program, ...args] = planNotice({ platform: "darwin", env: {} }, "Title", HOSTILE) ?? [];

    assert.equal(program, "osascript");
    assert.deepEqual(args.slice(-2), ["Title", HOSTILE]);
    const script = args.slice(0, args.indexOf("--")).join("\n");
    assert.ok(!script.includes(HOSTILE) && script.includes("item 2 of argv"));
  });

  test("where nobody would see it, nothing is started", () => {
    assert.equal(planNotice({ platform: "linux", env: {} }, "a", "b"), undefined);
    assert.ok(planNotice({ platform: "linux", env: { WAYLAND_DISPLAY: "wayland-0" } }, "a", "b"));
  });

  test("what is shown arrives as it is; a desktop without the program is no error", async (t) => {
    const dir = mkdtempSync(join(tmpdir(), "clipscribe-notice-"));
    t.after(() => rmSync(dir, { recursive: true, force: true }));
    const env = { DISPLAY: ":0", PATH: dir };
    await showNotice({ platform: "linux", env }, "ClipScribe", HOSTILE);
    const heard = join(dir, "heard");
    const script = `#!/bin/sh\nfor each in "$@"; do echo "$each" >> ${heard}; done\n`;
    writeFileSync(join(dir, "notify-send"), script);
    chmodSync(join(dir, "notify-send"), 0o755);

    await showNotice({ platform: "linux", env }, "ClipScribe", HOSTILE);

    assert.deepEqual(readFileSync(heard, "utf8").trim().split("\n").slice(-2), [
      "ClipScribe",
      HOSTILE,
    ]);
    assert.equal(existsSync("/tmp/canary"), false);
  });
});
