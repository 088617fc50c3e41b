import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";

import { XMLParser, XMLValidator } from "fast-xml-parser";

import { hasKind } from "../core/errors.ts";
import { INSTALL_ROOT } from "./install.ts";
import { fillTemplate, planService } from "./login-service.ts";
import type { ServiceFacts } from "./login-service.ts";

const FACTS: ServiceFacts = {
  platform: "linux",
  userHome: "/users/Ann & Co",
  uid: 501,
  configHome: "/users/Ann & Co/.config",
  profile: null,
  program: join(INSTALL_ROOT, "bin", "clipscribe"),
  folder: '/users/Ann & Co/50% "done" $HOME',
};

function render(facts: ServiceFacts): string {
  const plan = planService(facts);
  const template = readFileSync(join(INSTALL_ROOT, "templates", plan.template), "utf8");
  return fillTemplate(template, plan.holes);
}

describe("the login service", () => {
  test("a Mac's is a property list with absolute paths, Homebrew's folders, and nothing secret", () => {
    const text = render({ ...FACTS, platform: "darwin", profile: "desk" });

    assert.equal(XMLValidator.validate(text), true);
    const parser = new XMLParser({ ignoreAttributes: true, parseTagValue: false });
    const { dict } = (parser.parse(text) as { plist: { dict: PlistDict } }).plist;
    const strings = Object.fromEntries(
      dict.key
        .filter((key) => ["Label", "WorkingDirectory", "StandardErrorPath"].includes(key))
        .map((key, at) => [key, dict.string[at]]),
    );
    assert.equal(strings["Label"], "org.clipscribe.agent.desk");
    assert.equal(strings["WorkingDirectory"], FACTS.folder);
    assert.deepEqual(dict.array.string, [FACTS.program, "--profile", "desk", "up"]);
    const [environment] = dict.dict;
    assert.deepEqual(environment?.key, "PATH");
    const path = environment?.string ?? "";
    assert.ok(path.split(":").every((folder) => folder.startsWith("/")));
    assert.ok(path.includes("/opt/homebrew/bin:/usr/local/bin"));
    assert.doesNotMatch(text, /KEY|SECRET|TOKEN/);
  });

  test("systemd accepts the unit as it is written, odd folders too", (t) => {
    const dir = mkdtempSync(join(tmpdir(), "clipscribe-unit-"));
    t.after(() => rmSync(dir, { recursive: true, force: true }));
    const text = render({ ...FACTS, folder: tmpdir() });
    const odd = render({ ...FACTS, program: `${FACTS.program}`, profile: "desk" });
    const { file } = planService(FACTS);

    assert.match(text, /^ExecStart="\/.*\/bin\/clipscribe" "up"$/m);
    assert.match(odd, /"--profile" "desk" "up"/);
    assert.match(odd, /^WorkingDirectory=\/users\/Ann & Co\/50%% "done" \$HOME$/m);
    assert.equal(file, "/users/Ann & Co/.config/systemd/user/clipscribe.service");
    for (const [name, unit] of [
      ["clipscribe.service", text],
      ["clipscribe-desk.service", odd],
    ] as const) {
      writeFileSync(join(dir, name), unit);
      const verify = ["verify", "--user", "--man=no", join(dir, name)];
      const env = { PATH: process.env["PATH"], HOME: dir, XDG_RUNTIME_DIR: dir };
      const verified = spawnSync("systemd-analyze", verify, { encoding: "utf8", env });
      const { error, stderr, status } = verified;
      if (error !== undefined) return t.diagnostic("there is no systemd-analyze here");
      const about = stderr.split("\n").filter((line) => line.includes("clipscribe"));
      assert.deepEqual([status, about], [0, []], stderr);
    }
  });

  test("percent, dollar, quote and backslash mean themselves in a unit's command", () => {
    const { holes } = planService({ ...FACTS, program: '/a b/50%/$x/"y"\\z' });

    assert.equal(holes["command"], '"/a b/50%%/$$x/\\"y\\"\\\\z" "up"');
  });

  test("another system is refused with what to do instead", () => {
    assert.throws(() => planService({ ...FACTS, platform: "win32" }), hasKind("config"));
  });
});

interface PlistDict {
  key: string[];
  string: string[];
  array: { string: string[] };
  dict: { key: string; string: string }[];
}
