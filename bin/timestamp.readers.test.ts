import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";

import { openTestWorld } from "../samples/test-world.ts";
import { startTimestampServer } from "../stand-ins/timestamp-server.ts";

async function world(t: TestContext, tsa: string) {
  const { clipscribe } = await openTestWorld(t, () => ({ status: 500, body: {} }));
  const sample = join(import.meta.dirname, "..", "samples", "council-meeting.mp4");
  const env = { MISTRAL_API_KEY: "", XAI_API_KEY: "", CLIPSCRIBE_TSA_URL: tsa };
  const run = async () => {
    const { code, end } = await clipscribe(["run", "--json", sample], env);
    return { code, folder: end.items[0]?.path ?? "" };
  };
  return { run, verify: (folder: string) => clipscribe(["verify", folder]) };
}

describe("the manifest's timestamp", () => {
  test("is one that OpenSSL verifies, and verify finds it of this manifest", async (t) => {
    const tsa = await startTimestampServer();
    t.after(() => tsa[Symbol.asyncDispose]());
    const { verify, run } = await world(t, tsa.url);
    const { code, folder } = await run();

    assert.equal(code, 0);
    const files = ["-data", "manifest.json", "-in", "manifest.json.tsr"];
    const trust = ["-CAfile", tsa.certificate];
    const said = execFileSync("openssl", ["ts", "-verify", ...files, ...trust], { cwd: folder });
    assert.match(said.toString(), /OK/);
    assert.match((await verify(folder)).stdout, /^good .*, timestamped 20\d\d-/);

    appendFileSync(join(folder, "manifest.json"), " ");
    const changed = await verify(folder);
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
