import assert from "node:assert/strict";
import { describe, test } from "node:test";

import {
  ClipscribeError,
  asClipscribeError,
  fromErrorRecord,
  hasKind,
  isDiskFull,
  toErrorRecord,
} from "./errors.ts";

describe("errors", () => {
  test("details follow the message as key=value, texts quoted, undefined left out", () => {
    const error = new ClipscribeError("missing", "there is no such object", {
      details: { key: "a b", size: 3, gone: undefined },
    });

    assert.equal(error.message, 'there is no such object key="a b" size=3');
  });

  test("a detail of a megabyte is cut", () => {
    const error = new ClipscribeError("bug", "x", { details: { text: "y".repeat(1_000_000) } });

    assert.ok(error.message.length < 400);
  });

  test("what nobody classified is a bug, and keeps its cause", () => {
    const cause = new TypeError("x is not a function");

    const error = asClipscribeError(cause);

    assert.ok(hasKind("bug")(error));
    assert.equal(error.cause, cause);
  });

  test("an abort passes on the reason it was given", () => {
    const reason = new ClipscribeError("budget", "too dear");
    const abort = Object.assign(new Error("aborted"), { name: "AbortError", reason });

    assert.equal(asClipscribeError(abort), reason);
  });

  test("a record keeps kind, message, hint and the chain of causes", () => {
    const root = new Error("ECONNRESET");
    const middle = new Error("request failed", { cause: root });
    const error = new ClipscribeError("transient", "no answer", { cause: middle, hint: "wait" });

    const copy = fromErrorRecord(toErrorRecord(error));

    assert.deepEqual(toErrorRecord(copy), toErrorRecord(error));
    assert.deepEqual(toErrorRecord(copy).cause, ["request failed", "ECONNRESET"]);
  });

  test("a cause that causes itself ends", () => {
    const error = new Error("a");
    error.cause = new Error("b", { cause: error });

    assert.ok(toErrorRecord(error).cause.length <= 8);
  });

  test("no space left is nobody's fault, wherever it comes from", () => {
    const thrown = Object.assign(new Error("ENOSPC: no space left on device, write"), {
      code: "ENOSPC",
    });

    assert.equal(isDiskFull(asClipscribeError(thrown)), true);
    assert.equal(isDiskFull(new ClipscribeError("transient", "the network is down")), false);
  });
});
