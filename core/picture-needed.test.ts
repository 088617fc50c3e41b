import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { captionLanguages, needsPicture } from "./picture-needed.ts";
import type { CheckedPipeline } from "./pipeline.ts";

type Stages = CheckedPipeline["stages"];

function pipeline(...stages: { reads: string; sound?: boolean; languages?: unknown }[]) {
  const made = stages.map(({ reads, sound, languages }, at) => ({
    id: `s${at}`,
    inputs: { any: { from: "built-in", name: reads } },
    contract: sound === undefined ? {} : { needs: { sourceSound: sound } },
    params: { languages },
  }));
  return { stages: made as unknown as Stages };
}

describe("what a pipeline needs of a download", () => {
  test("the picture is left out only if every stage that reads the source says that sound is enough", () => {
    const hears = { reads: "source", sound: true };

    assert.equal(needsPicture(pipeline(hears, hears, { reads: "item" })), false);
    assert.equal(needsPicture(pipeline(hears, { reads: "source" })), true);
    assert.equal(needsPicture(pipeline(hears, { reads: "source", sound: false })), true);
  });

  test("captions are preferred as whoever reads them does", () => {
    const reader = { reads: "sidecars", languages: ["de", "en", 7] };

    assert.deepEqual(captionLanguages(pipeline(reader, reader)), ["de", "en"]);
    assert.deepEqual(captionLanguages(pipeline({ reads: "source", languages: ["de"] })), []);
  });
});
