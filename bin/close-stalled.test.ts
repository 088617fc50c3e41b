import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { EXIT } from "../core/exit-codes.ts";
import { closeStalled } from "./close-stalled.ts";

describe("a runner that gets nothing done", () => {
  test("ends its process where it can't even be closed", async () => {
    const { promise: code, resolve: exit } = Promise.withResolvers<number>();
    void closeStalled(() => new Promise(() => undefined), exit, 20);

    assert.equal(await code, EXIT.bug);
  });

  test("leaves the process alone where it closes in time", async () => {
    let isOver = false;
    await closeStalled(
      () => Promise.resolve(),
      () => (isOver = true),
      20,
    );
    await new Promise((resolve) => setTimeout(resolve, 60));

    assert.equal(isOver, false);
  });
});
