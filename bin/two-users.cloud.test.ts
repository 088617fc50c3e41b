import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { parseObjectKey } from "../core/keys.ts";
import { openSmallCloud, until } from "../samples/small-cloud.ts";

const DROPS = 6;

describe("runners of two users on one bucket and its queues", () => {
  test("hear of their own user's work by its events, whoever pulls them first", async (t) => {
    const { cloud } = await openSmallCloud(t);
    // Events alone: the sweep never comes.
    const env = { CLIPSCRIBE_SWEEP_MS: "600000" };
    for (const user of ["me", "anna"]) {
      cloud.startRunner(user, { env: { ...env, CLIPSCRIBE_USER: user } });
    }
    for (let index = 0; index < DROPS; index++) {
      for (const user of ["me", "anna"]) {
        const key = parseObjectKey(`drops/${user}/talk-${index}.mp4`);
        await cloud.store.put(key, Buffer.from(`${user} speaks ${index}`));
      }
    }
    const heard = async (user: string): Promise<string[]> => {
      const texts: string[] = [];
      for await (const { key } of cloud.store.list(`results/${user}/`)) {
        if (!key.endsWith("/out.txt")) continue;
        texts.push(Buffer.from((await cloud.store.get(key)).body).toString());
      }
      return texts.toSorted();
    };
    const all = (user: string): string[] =>
      Array.from({ length: DROPS }, (_, index) => `heard: ${user} speaks ${index}`);

    const found = await until(
      async () => {
        const both = [await heard("me"), await heard("anna")];
        return both.flat().length === 2 * DROPS ? both : undefined;
      },
      "the end of both users' work",
      80,
    );

    assert.deepEqual(found, [all("me"), all("anna")]);
  });
});
