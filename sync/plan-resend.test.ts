import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { sha256Of } from "../core/digest.ts";
import { queueItem } from "../core/item-state.ts";
import { ItemState, Ticket } from "../core/records.ts";
import { MAX_RESENDS, planResend, planResentTicket } from "./plan-resend.ts";

const NOW = new Date("2026-11-25T08:00:00Z");
const HERE = { hasOriginal: true, hasPipeline: true };
const artifact = (name: string) => ({ name, sha256: sha256Of(name), size: 1, key: "k" });
const TICKET = Ticket.parse({
  schema: 1,
  job_id: "job",
  item_id: "item",
  run: 4,
  user: "me",
  lane: "batch",
  pipeline_digest: sha256Of("p"),
  source: {
    kind: "file",
    url: null,
    filename: "a.mp4",
    sha256: sha256Of("a"),
    size: 1,
    media_type: "video/mp4",
  },
  artifacts: [artifact("sidecar:a.vtt"), artifact("audio.audio")],
  info: { file_name: "a.mp4" },
  created_at: NOW.toISOString(),
  from_stage: "graph",
});

function held(kind: string, more: Partial<Ticket> = {}): ItemState {
  const error = { kind, message: "gone", hint: null, cause: [] };
  const input = { ...TICKET, ...more };
  return ItemState.parse({ ...queueItem(input, NOW), status: "held", error });
}

describe("sending again what a runner misses", () => {
  test("whoever has the original and the run's pipeline sends it", () => {
    assert.deepEqual(planResend(held("missing"), HERE), { action: "resend" });
  });

  test("who lacks either leaves it, and says which", () => {
    for (const [facts, why] of [
      [{ ...HERE, hasOriginal: false }, /original is not here/],
      [{ ...HERE, hasPipeline: false }, /pipeline of its run/],
    ] as const) {
      const decision = planResend(held("missing"), facts);
      assert.match(decision.action === "leave" ? decision.why : "", why);
    }
  });

  test("what is held for money, a provider or a person, and what is not held, is not this", () => {
    for (const kind of ["budget", "config", "denied"]) {
      assert.deepEqual(planResend(held(kind), HERE), { action: "none" });
    }
    assert.deepEqual(planResend(queueItem(TICKET, NOW), HERE), { action: "none" });
  });

  test("it does not go round for ever", () => {
    const decision = planResend(held("missing", { resends: MAX_RESENDS }), HERE);

    assert.equal(decision.action, "leave");
  });

  test("the next run's ticket keeps what was asked for, counts, and believes nothing that was made before", () => {
    const next = planResentTicket(held("missing"), TICKET, NOW);

    assert.deepEqual(
      [next.run, next.resends, next.from_stage, next.artifacts.map(({ name }) => name)],
      [5, 1, "graph", ["sidecar:a.vtt"]],
    );
    assert.deepEqual(next.prepared, []);
  });
});
