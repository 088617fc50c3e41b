import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { PutObjectCommand, S3Client } from "@aws-sdk/client-s3";

import type { CloudWorld } from "../samples/cloud-world.ts";
import { audit, openSmallCloud, until } from "../samples/small-cloud.ts";

/** As any other tool drops: with the S3 API and nothing of ours. */
function tool({ emulator: { address } }: CloudWorld) {
  const client = new S3Client({
    region: "auto",
    endpoint: address.s3_endpoint,
    forcePathStyle: true,
    credentials: {
      accessKeyId: address.access_key_id,
      secretAccessKey: address.secret_access_key,
    },
  });
  return async (Key: string, Body: string): Promise<void> =>
    void (await client.send(new PutObjectCommand({ Bucket: address.bucket, Key, Body })));
}

/** For `until`: the audit, once all is over. */
const balanced = (cloud: CloudWorld, complete: number) => async () => {
  const found = await audit(cloud);
  return found.code === 0 && found.counts["complete"] === complete ? found : undefined;
};

const resultsOf = async (cloud: CloudWorld): Promise<string[]> => {
  const texts: string[] = [];
  for await (const { key } of cloud.store.list("results/me/")) {
    if (!key.endsWith("/out.txt")) continue;
    texts.push(Buffer.from((await cloud.store.get(key)).body).toString());
  }
  return texts;
};

describe("files that another tool drops into the bucket", () => {
  test("are jobs by their events, edge stages included; what no key can be is said and left", async (t) => {
    const { cloud } = await openSmallCloud(t, { stage: "    runs_on: edge\n" });
    const put = tool(cloud);
    await put("drops/me/two  words.mp4", "a meeting");
    await put("drops/me/a\u0001control.mp4", "hostile");
    await put("drops/me/notes.txt", "not a medium");
    // Events alone: the sweep never comes.
    cloud.startRunner("one", { env: { CLIPSCRIBE_SWEEP_MS: "600000" } });

    const { counts, notes } = await until(balanced(cloud, 1), "the drop's end");

    assert.deepEqual(counts, { complete: 1, rejected: 1 });
    assert.match(notes.join("\n"), /control\.mp4: rejected, its name can't be used/);
    assert.deepEqual(await resultsOf(cloud), ["heard: a meeting"]);
  });

  test("are found by the sweep where every event is lost, and by two runners once", async (t) => {
    const { cloud } = await openSmallCloud(t);
    await cloud.setFaults({ events: { drop: 1 } });
    const put = tool(cloud);
    await put("drops/me/swept.mp4", "swept");
    await put("drops/me/a/b/deep.mp4", "deep");
    const waiting = await audit(cloud);
    assert.deepEqual([waiting.code, waiting.counts], [0, { "waiting in drops/": 2 }]);
    cloud.startRunner("one");
    cloud.startRunner("two");

    await until(balanced(cloud, 2), "both ends", 60);

    assert.deepEqual(new Set(await resultsOf(cloud)), new Set(["heard: swept", "heard: deep"]));
  });
});
