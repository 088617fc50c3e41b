import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { planNight } from "./night-plan.ts";

const NIGHT = { items: 200, runners: 3, faultsMs: 110_000 };

describe("the plan of a night", () => {
  test("is the same for the same seed, and another for another", () => {
    assert.deepEqual(planNight({ ...NIGHT, seed: 7 }), planNight({ ...NIGHT, seed: 7 }));
    assert.notDeepEqual(planNight({ ...NIGHT, seed: 7 }), planNight({ ...NIGHT, seed: 8 }));
  });

  test("has all its items, and of each seed kills, stops, replays and a job that is cancelled and goes on", () => {
    for (let seed = 1; seed <= 20; seed++) {
      const { jobs, disturbances } = planNight({ ...NIGHT, seed });
      const count = (what: string): number =>
        disturbances.filter((each) => each.what === what).length;

      assert.equal(jobs.flatMap(({ items }) => items).length, 200);
      assert.deepEqual([count("cancel"), count("resume")], [1, 1]);
      for (const what of ["kill", "stop", "replay"]) assert.ok(count(what) > 0, `${seed}: ${what}`);
      assert.ok(count("kill") + count("stop") >= 10, `${seed}: ${count("kill")} kills`);
    }
  });
});
