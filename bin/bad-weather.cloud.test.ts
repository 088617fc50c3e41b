import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { EXIT } from "../core/exit-codes.ts";
import { allEnded, audit, listenTo, openSmallCloud, until } from "../samples/small-cloud.ts";

describe("a store that fails often", () => {
  for (const share of [0.1, 0.5]) {
    test(`at ${share * 100} % of its answers, ends every item all the same`, async (t) => {
      const { cloud, digest, media } = await openSmallCloud(t, { ms: 50 });
      const job = "20261124-2200-weather-7f3a";
      const names = ["a", "b", "c"];
      await cloud.submit(job, "urgent", digest, media(names));
      const each = share / 3;
      await cloud.setFaults({ s3: { "429": each, "500": each, "503": each } });
      // Longer than so many tries in a row take: nobody is to look dead.
      const env = { CLIPSCRIBE_LEASE_MS: "20000" };
      const starts: (() => string)[] = [];
      // As a supervisor does: a start that the store refuses throughout ends, and is made again.
      const start = (): void => {
        const child = cloud.startRunner(`wet-${starts.length}`, { env });
        starts.push(listenTo(child));
        child.once("exit", (code) => code === EXIT.unreachable && starts.length < 20 && start());
      };
      start();
      const said = (): string => starts.map((each) => each()).join("\n");

      const states = await until(allEnded(cloud, job, names), "the job's end", 150).catch(
        (error: unknown) => assert.fail(`${String(error)}: ${said().slice(-2_000)}`),
      );
      assert.deepEqual(
        states.map((state) => state?.status),
        ["complete", "complete", "complete"],
      );
      await cloud.setFaults({});
      await until(
        async () => ((await audit(cloud)).code === 0 ? true : undefined),
        "the tails",
        60,
      );
    });
  }
});

describe("a queue that can't be pulled from", { concurrency: true }, () => {
  for (const { what, env, faults, hint } of [
    {
      what: "its token is refused",
      env: { CLOUDFLARE_API_TOKEN: "gone" },
      faults: {},
      hint: /Queues: Edit/,
    },
    {
      what: "it has no consumer",
      env: {},
      faults: { queues: { no_consumer: true } },
      hint: /clipscribe cloud apply/,
    },
  ]) {
    test(`since ${what}: each lane says so once, and the sweep does the work`, async (t) => {
      const { cloud, digest, media } = await openSmallCloud(t, { ms: 50 });
      await cloud.setFaults(faults);
      const said = listenTo(cloud.startRunner("unheard", { env }));
      const job = "20261124-2200-unheard-7f3a";
      await cloud.submit(job, "urgent", digest, media(["a"]));

      const [state] = await until(allEnded(cloud, job, ["a"]), "the sweep");

      assert.equal(state?.status, "complete");
      const lines = said()
        .split("\n")
        .filter((line) => line.includes("the queue refuses"));
      assert.equal(lines.length, 2, said());
      assert.match(lines[0] ?? "", hint);
    });
  }

  test("since the day's free operations are used up: the sweep does the work", async (t) => {
    const { cloud, digest, media } = await openSmallCloud(t, { ms: 50 });
    await cloud.setFaults({ queues: { spent: true } });
    const said = listenTo(cloud.startRunner("poor"));
    const job = "20261124-2200-poor-7f3a";
    await cloud.submit(job, "urgent", digest, media(["a"]));

    const [state] = await until(allEnded(cloud, job, ["a"]), "the sweep");

    assert.equal(state?.status, "complete");
    assert.match(said(), /free operations of Queues are used up/);
    assert.equal(cloud.emulator.counts["queues:pull"], 2);
  });
});
