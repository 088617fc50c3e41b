import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { adviseLid, formatLid, formatTimeOfDay } from "./lid.ts";
import type { LidFacts } from "./lid.ts";

const NOW = new Date(2026, 10, 25, 18, 20);
const at = (hours: number, minutes: number): Date => new Date(2026, 10, 25, hours, minutes);
const say = (facts: Partial<LidFacts>): string =>
  formatLid(
    adviseLid({
      isEmbedded: false,
      toHandOff: 0,
      underWay: 0,
      minutesLeft: null,
      serverSeenAt: null,
      now: NOW,
      ...facts,
    }),
    (time) => formatTimeOfDay(time, NOW),
  );

describe("the lid", () => {
  test("embedded, the machine that does the work must stay awake", () => {
    assert.equal(
      say({ isEmbedded: true, toHandOff: 2, underWay: 10, minutesLeft: 39.2 }),
      "keep the lid open: 12 items, about 40 min",
    );
  });

  test("embedded, a runner elsewhere makes nothing safe", () => {
    assert.match(say({ isEmbedded: true, underWay: 1, serverSeenAt: NOW }), /^keep the lid open/);
  });

  test("it is safe when every ticket is durable and a runner elsewhere was alive a minute ago", () => {
    assert.equal(say({ underWay: 50, serverSeenAt: at(18, 19) }), "safe to close the lid");
  });

  test("one item that has no ticket yet keeps it open, whoever lives", () => {
    assert.equal(
      say({ toHandOff: 1, underWay: 49, serverSeenAt: NOW }),
      "keep the lid open: 1 item to hand off",
    );
  });

  test("no runner for more than two minutes: handed off, and it says since when", () => {
    assert.equal(
      say({ underWay: 50, serverSeenAt: at(18, 2) }),
      "handed off; no server has been seen since 18:02: nothing runs until one starts",
    );
    assert.match(say({ underWay: 1, serverSeenAt: at(18, 17) }), /since 18:17/);
  });

  test("a runner that was never seen is not said to have been", () => {
    assert.equal(
      say({ underWay: 1 }),
      "handed off; no server has been seen yet: nothing runs until one starts",
    );
  });

  test("a runner of yesterday comes with its date", () => {
    assert.match(say({ underWay: 1, serverSeenAt: new Date(2026, 10, 24, 9, 5) }), /Nov 24, 09:05/);
  });

  test("with nothing under way there is nothing to warn of", () => {
    assert.equal(say({}), "nothing is under way: close the lid as you like");
  });
});
