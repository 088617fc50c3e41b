import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { EXIT } from "../core/exit-codes.ts";
import { closeOrExit, exitWithin } from "./close-or-exit.ts";

describe("a runner that gets nothing done", () => {
  test("ends its process where it can't even be closed", async () => {
    const { promise: code, resolve: exit } = Promise.withResolvers<number>();
    void closeOrExit(() => new Promise(() => undefined), exit, { withinMs: 20 });

    assert.equal(await code, EXIT.bug);
  });

  test("leaves the process alone where it closes in time", async () => {
    let isOver = false;
    await closeOrExit(
      () => Promise.resolve(),
      () => (isOver = true),
      { withinMs: 20 },
    );
    await new Promise((resolve) => setTimeout(resolve, 60));

    assert.equal(isOver, false);
  });
});

test("a process that was told to stop ends in time whatever it waits for", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const codes: number[] = [];
  exitWithin(1_000, (code) => codes.push(code));

  t.mock.timers.tick(999);
  assert.deepEqual(codes, []);
  t.mock.timers.tick(1);
  assert.deepEqual(codes, [EXIT.complete]);
});
