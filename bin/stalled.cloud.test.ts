import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { allEnded, ended, listenTo, openSmallCloud, until } from "../samples/small-cloud.ts";

const JOB = "20261124-2200-stalled-7f3a";

describe("a runner's process that is up, beats its heart and gets nothing done", () => {
  test("ends with 1 and says why, and the next one does its work", async (t) => {
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

  test("is left alone while its store is out of reach: that is nobody's stall", async (t) => {
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
