import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { openKeepAwake, planKeepAwake } from "./keep-awake.ts";

describe("keeping the machine awake", () => {
  test("one caffeinate at a time on a Mac, ended when nothing is under way, and with this process", () => {
    const log: string[] = [];
    const awake = openKeepAwake("darwin", (command) => {
      log.push(command.join(" "));
      return () => log.push("ended");
    });

    for (const isBusy of [false, true, true, false, false, true]) awake.set(isBusy);
    awake[Symbol.dispose]();

    const command = `/usr/bin/caffeinate -i -w ${process.pid}`;
    assert.deepEqual(log, [command, "ended", command, "ended"]);
  });

  test("elsewhere nothing is started", () => {
    assert.equal(planKeepAwake("linux", 1), undefined);
    const awake = openKeepAwake("linux", () => assert.fail("nothing to start"));
    awake.set(true);
    awake[Symbol.dispose]();
  });
});
