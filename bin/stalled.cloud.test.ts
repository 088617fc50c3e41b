import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { allEnded, ended, listenTo, openSmallCloud, until } from "../samples/small-cloud.ts";

const JOB = "20261124-2200-stalled-7f3a";

describe("a runner whose store does not answer", { concurrency: true }, () => {
  test("ends when it is told to, though what it waits for does not", async (t) => {
    const { cloud, digest, media } = await openSmallCloud(t, { ms: 50 });
    await cloud.setFaults({ s3: { hang: "inbox/" } });
    await cloud.submit(JOB, "urgent", digest, media(["a"]));
    const child = cloud.startRunner("told", { args: ["--drain", "2"] });
    const said = listenTo(child);
    const asked = (): number => cloud.emulator.counts["s3:B:get:inbox"] ?? 0;
    await until(async () => (asked() > 0 ? true : undefined), "its look at the ticket");
    const toldMs = performance.now();
    child.kill("SIGTERM");

    assert.equal(await ended(child), 0, said());
    const tookS = (performance.now() - toldMs) / 1000;
    assert.ok(tookS < 30, `${tookS} s`);
  });

  test("ends with 1 and says why where its heart beats and nothing gets done, and the next one does its work", async (t) => {
    const { cloud, digest, media } = await openSmallCloud(t, { ms: 50 });
    await cloud.setFaults({ s3: { hang: "inbox/" } });
    await cloud.submit(JOB, "urgent", digest, media(["a"]));
    const child = cloud.startRunner("stalled", { env: { CLIPSCRIBE_STALL_MS: "3000" } });
    const said = listenTo(child);

    assert.equal(await ended(child), 1, said());
    assert.match(said(), /this runner gets nothing done/);
    assert.doesNotMatch(said(), /others took this runner for dead/);

    await cloud.setFaults({});
    cloud.startRunner("stalled");
    const [state] = await until(allEnded(cloud, JOB, ["a"]), "the end");
    assert.equal(state?.status, "complete");
  });

  test("is left alone where nothing at all gets through: that is nobody's stall", async (t) => {
    const { cloud, digest, media } = await openSmallCloud(t, { ms: 50 });
    const env = { CLIPSCRIBE_STALL_MS: "2000" };
    const child = cloud.startRunner("patient", { env });
    const said = listenTo(child);
    await until(async () => (said().includes('"ready"') ? true : undefined), "its start");
    await cloud.setFaults({ s3: { "503": 1 }, queues: { "500": 1 } });
    await until(
      async () => (said().includes("others took this runner for dead") ? true : undefined),
      "its giving up",
    );
    assert.equal(child.exitCode, null, said());

    await cloud.setFaults({});
    await cloud.submit(JOB, "urgent", digest, media(["a"]));
    const [state] = await until(allEnded(cloud, JOB, ["a"]), "the end", 60);
    assert.equal(state?.status, "complete");
    assert.equal(child.exitCode, null, said());
  });
});
