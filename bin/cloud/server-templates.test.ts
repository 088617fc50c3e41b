/** The unit and the cloud-init of a server: what they promise is measured, and what they name exists. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";

import { parse } from "yaml";

import { SETTINGS } from "../../core/settings.ts";
import { systemIo } from "../io.ts";
import { defineCommands } from "../main.ts";

const ROOT = join(import.meta.dirname, "..", "..");
const UNIT = join(ROOT, "templates", "systemd", "clipscribe-runner@.service");
/** By systemd 252: 9.2 is a unit without any of it, 1.3 one whose children see no network of their own. */
const MOST_EXPOSURE = 1.5;

function directives(): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const line of readFileSync(UNIT, "utf8").split("\n")) {
    const match = /^([A-Za-z]+)=(.*)$/.exec(line);
    if (match === null) continue;
    const [, name = "", value = ""] = match;
    found.set(name, [...(found.get(name) ?? []), value]);
  }
  return found;
}

describe("the unit of a runner", () => {
  test("is exposed by no more than 1.5, where systemd can measure it", (t) => {
    // systemd measures an instance, and knows it by its file's name.
    const dir = mkdtempSync(join(tmpdir(), "clipscribe-unit-"));
    t.after(() => rmSync(dir, { recursive: true, force: true }));
    const instance = join(dir, "clipscribe-runner@anna.service");
    copyFileSync(UNIT, instance);
    const args = ["security", "--offline=true", "--no-pager", instance];
    const { status, stdout, error } = spawnSync("systemd-analyze", args, { encoding: "utf8" });
    if (error !== undefined) {
      t.diagnostic("no systemd-analyze on this machine: the directives alone are looked at");
      return;
    }
    assert.equal(status, 0, stdout);
    const exposure = Number(/Overall exposure level for \S+: (\d+\.\d+)/.exec(stdout)?.[1]);
    assert.ok(exposure <= MOST_EXPOSURE, `${exposure}\n${stdout}`);
  });

  test("keeps what the score does not see: no secret in it, no home, time to drain, no loop on bad settings", () => {
    const unit = directives();
    const text = readFileSync(UNIT, "utf8");

    assert.doesNotMatch(text, /(?:SECRET|TOKEN|API_KEY)\w*=/);
    assert.deepEqual(unit.get("ProtectHome"), ["yes"]);
    assert.deepEqual(unit.get("ProtectSystem"), ["strict"]);
    assert.deepEqual(unit.get("RestartPreventExitStatus"), ["2"]);
    const [start = ""] = unit.get("ExecStart") ?? [];
    const drain = Number(/--drain (\d+)/.exec(start)?.[1]);
    assert.ok(Number(unit.get("TimeoutStopSec")?.[0]) >= drain + 15);
    // SIGTERM to the runner alone: its children go on until it says so.
    assert.deepEqual(unit.get("KillMode"), ["mixed"]);
  });

  test("starts a command that there is, with flags that it takes", () => {
    const [start = ""] = directives().get("ExecStart") ?? [];
    const [program = "", ...args] = start.split(" ");
    assert.ok(existsSync(join(ROOT, program.replace("/opt/clipscribe/", ""))));
    const commands = defineCommands(systemIo(), () => undefined).commands;
    const verb = commands.find((each) => each.name() === args[0]);
    for (const flag of args.filter((arg) => arg.startsWith("--"))) {
      assert.ok(
        verb?.options.some(({ long }) => long === flag),
        flag,
      );
    }
  });
});

describe("the cloud-init of a server", () => {
  const text = readFileSync(join(ROOT, "templates", "cloud-init.yaml"), "utf8");
  const init = parse(text) as {
    packages: string[];
    write_files: { path: string; content: string }[];
    runcmd: string[][];
  };

  test("is read as cloud-config, and its settings are settings that there are", () => {
    assert.match(text, /^#cloud-config\n/);
    const config = init.write_files.find(({ path }) => path === "/etc/clipscribe/config.yaml");
    const settings = parse(config?.content ?? "") as Record<string, unknown>;
    const known = new Set(SETTINGS.map(({ name }) => name));
    assert.deepEqual(
      Object.keys(settings).filter((name) => !known.has(name)),
      [],
    );
    for (const { name, secret } of SETTINGS) {
      const value = settings[name];
      if (secret === true && value !== undefined) assert.equal(typeof value, "object", name);
    }
  });

  test("keeps keys in a folder of root and the unit's group, and installs files that there are", () => {
    const [group = ""] = directives().get("Group") ?? [];
    const folder = init.runcmd.find((command) => command.includes("/etc/clipscribe/keys"));
    assert.deepEqual(folder?.slice(0, -1), [
      "install",
      "-d",
      "-m",
      "0750",
      "-o",
      "root",
      "-g",
      group,
    ]);
    const named = [...text.matchAll(/file: (\S+) \}/g)].map(([, path]) => path);
    assert.deepEqual(named, [
      "keys/r2-access-key-id",
      "keys/r2-secret-access-key",
      "keys/queues-token",
    ]);
    const args = init.runcmd.flat();
    for (const path of args.filter((each) => each.startsWith("/opt/clipscribe/"))) {
      assert.ok(existsSync(join(ROOT, path.replace("/opt/clipscribe/", ""))), path);
    }
  });
});
