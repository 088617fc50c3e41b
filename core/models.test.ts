import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { modelData } from "./model-data.ts";
import { findModel, isRetired, problemOfModel, retirementWarning } from "./models.ts";

describe("what is known of models", () => {
  test("no name is an alias, and what is retired says since when", () => {
    for (const { model, state, retiresOn } of modelData().models) {
      assert.doesNotMatch(model, /latest/);
      assert.equal(state === "retired", retiresOn !== null && retiresOn < modelData().asOf, model);
    }
  });

  test("a retired model, an alias and a slip are refused, with what to write instead", () => {
    assert.match(
      problemOfModel("transcriber", "mistral/voxtral-mini-2507")?.message ?? "",
      /retired on 2026-05-31/,
    );
    assert.match(problemOfModel("chat", "xai/grok-latest")?.message ?? "", /alias/);
    assert.match(problemOfModel("chat", "xai/grok-4.33")?.hint ?? "", /xai\/grok-4\.3/);
    assert.equal(problemOfModel("chat", "xai/grok-4.3"), undefined);
    assert.equal(problemOfModel("chat", "auto"), undefined);
  });

  test("a model's end is told two months ahead, and after it", () => {
    const spec = findModel("chat", "xai", "grok-4.3");
    assert.ok(spec);
    const ending = { ...spec, retiresOn: "2027-01-10" };
    const on = (day: string) => retirementWarning(ending, new Date(`${day}T00:00:00Z`));

    assert.equal(on("2026-10-01"), undefined);
    assert.equal(on("2026-12-31"), "xai/grok-4.3 retires in 10 days, on 2027-01-10");
    assert.equal(on("2027-02-01"), "xai/grok-4.3 was retired on 2027-01-10");
    assert.equal(retirementWarning(spec, new Date()), undefined);
    assert.equal(isRetired(ending, new Date("2027-01-09T12:00:00Z")), false);
    assert.equal(isRetired(ending, new Date("2027-01-10T12:00:00Z")), true);
    assert.equal(isRetired({ ...spec, state: "retired" }, new Date(0)), true);
  });
});
