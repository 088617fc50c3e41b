import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";

import { startTimestampServer } from "../stand-ins/timestamp-server.ts";

const ROOT = join(import.meta.dirname, "..");

async function world(t: TestContext, tsa: string) {
  const dir = mkdtempSync(join(tmpdir(), "clipscribe-timestamp-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const clipscribe = async (...args: string[]) => {
    const child = spawn(process.execPath, [join(ROOT, "bin", "clipscribe.ts"), ...args], {
      cwd: ROOT,
      env: {
        PATH: process.env["PATH"],
        HOME: dir,
        CLIPSCRIBE_HOME: join(dir, "home"),
        CLIPSCRIBE_TSA_URL: tsa,
      },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let stdout = "";
    child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
    const code = await new Promise<number | null>((resolve) => child.on("close", resolve));
    return { code, stdout };
  };
  const run = async (...args: string[]) => {
    const sample = join(ROOT, "samples", "council-meeting.mp4");
    const { code, stdout } = await clipscribe("run", "--json", ...args, sample);
    const end = JSON.parse(stdout.trim().split("\n").at(-1) ?? "{}") as {
      items: { path: string; status: string }[];
    };
    return { code, folder: end.items[0]?.path ?? "" };
  };
  return { clipscribe, run };
}

describe("the manifest's timestamp", () => {
  test("is one that OpenSSL verifies, and verify finds it of this manifest", async (t) => {
    const tsa = await startTimestampServer();
    t.after(() => tsa[Symbol.asyncDispose]());
    const { clipscribe, run } = await world(t, tsa.url);
    const { code, folder } = await run();

    assert.equal(code, 0);
    const files = ["-data", "manifest.json", "-in", "manifest.json.tsr"];
    const trust = ["-CAfile", tsa.certificate];
    const said = execFileSync("openssl", ["ts", "-verify", ...files, ...trust], { cwd: folder });
    assert.match(said.toString(), /OK/);
    assert.match((await clipscribe("verify", folder)).stdout, /^good .*, timestamped 20\d\d-/);

    appendFileSync(join(folder, "manifest.json"), " ");
    const changed = await clipscribe("verify", folder);
    assert.equal(changed.code, 7);
    assert.match(changed.stdout, /the timestamp is of another manifest/);
  });

  test("that can't be had makes the item partial; the next run brings it", async (t) => {
    const tsa = await startTimestampServer();
    await tsa[Symbol.asyncDispose]();
    const { run } = await world(t, tsa.url);
    const { code, folder } = await run();

    assert.equal(code, 4);
    assert.equal(existsSync(join(folder, "manifest.json.tsr")), false);
    const manifest = JSON.parse(readFileSync(join(folder, "manifest.json"), "utf8")) as {
      missing: { why: string }[];
    };
    assert.match(manifest.missing[0]?.why ?? "", /^manifest\.json\.tsr: .*can't be reached/);
  });
});
