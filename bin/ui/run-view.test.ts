import assert from "node:assert/strict";
import { describe, test } from "node:test";

import type { RunnerEvent } from "../../runner/runner-events.ts";
import { openRunView, renderRunning } from "./run-view.ts";

const about = { job_id: "job", item_id: "talk", run: 1 };
const ended = (stage: string, state: "ran" | "reused" | "failed", why: string): RunnerEvent => ({
  ...about,
  type: "stage-ended",
  stage,
  state,
  why,
  by: null,
  seconds: 1.24,
  cost_usd: 0,
  error: null,
});

function show(events: RunnerEvent[], options: { items?: number; color?: boolean } = {}): string {
  let text = "";
  const view = openRunView({
    mode: "plain",
    write: (part) => void (text += part),
    columns: 80,
    color: options.color ?? false,
    itemCount: () => options.items ?? 1,
  });
  for (const event of events) view.event(event);
  view.stop();
  return text;
}

describe("what a run shows", () => {
  test("a single item shows its stages, states in words, with time and reason", () => {
    const text = show([ended("probe", "ran", "first run"), ended("graph", "reused", "reused")]);

    assert.equal(
      text,
      "  ✓ probe          ran         1.2 s  first run\n  = graph          reused\n",
    );
  });

  test("where nothing moves, a line now and then says how far a long stage is", () => {
    let text = "";
    let now = 0;
    const view = openRunView({
      mode: "plain",
      write: (part) => void (text += part),
      columns: 80,
      color: false,
      itemCount: () => 1,
      nowMs: () => now,
    });
    view.event({ ...about, type: "stage-started", stage: "audio", why: "first run" });
    for (let second = 0; second < 70; second++) {
      now = second * 1_000;
      const fraction = second / 100;
      view.event({ ...about, type: "stage-progress", stage: "audio", fraction, note: "sound" });
    }
    now += 40_000;
    view.busy("downloading 3 of 9");

    assert.equal(
      text,
      "  … audio is 30 % done: sound\n  … audio is 60 % done: sound\n  … downloading 3 of 9\n",
    );
  });

  test("many items show their ends", () => {
    const text = show(
      [
        {
          ...about,
          type: "item-ended",
          status: "held",
          cost_usd: 0.5,
          manifest: null,
          error: { kind: "config", message: "no captions", hint: null, cause: [] },
        },
      ],
      { items: 2 },
    );

    assert.equal(text, "  talk  held  $0.50  no captions\n");
  });

  test("without a terminal's colour there is no escape sequence, whatever comes in", () => {
    const text = show([ended("probe", "failed", "\u001b[31mred\u001b[0m \u202ereversed")]);

    // oxlint-disable-next-line no-control-regex -- that is what must not be there
    assert.doesNotMatch(text, /[\u001b\u202e]/);
    assert.match(show([ended("a", "ran", "x")], { color: true }), /\u001b\[32mran/);
  });

  test("the moving rows are never wider than the terminal, nor more than a handful", () => {
    const rows = Array.from(
      { length: 30 },
      (_, at) => [`${at}`, { stage: `stage-${at}`, fraction: 0.5, note: "n".repeat(200) }] as const,
    );

    const lines = renderRunning(rows, "", { ended: 1, of: 30 }, 60).split("\n");

    assert.ok(lines.length <= 10 && lines.every((line) => line.length < 60));
    assert.match(lines.at(-1) ?? "", /1 of 30 done/);
  });
});
