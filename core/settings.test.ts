import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { didYouMean } from "./did-you-mean.ts";
import { hasKind } from "./errors.ts";
import { safeLine, safeText } from "./safe-text.ts";
import { resolveSettings, showSetting } from "./settings.ts";

const none = { "config.yaml": {}, environment: {}, flag: {} };

describe("settings", () => {
  test("a flag beats the environment beats the file beats the default, and each says where it is from", () => {
    const name = "CLIPSCRIBE_USER";
    const from = (sources: Partial<typeof none>) => {
      const setting = resolveSettings({ ...none, ...sources }).get(name);
      return [setting?.value, setting?.from];
    };

    assert.deepEqual(from({}), ["me", "default"]);
    assert.deepEqual(from({ "config.yaml": { [name]: "a" } }), ["a", "config.yaml"]);
    assert.deepEqual(from({ "config.yaml": { [name]: "a" }, environment: { [name]: "b" } }), [
      "b",
      "environment",
    ]);
    assert.deepEqual(from({ environment: { [name]: "b" }, flag: { [name]: "c" } }), ["c", "flag"]);
  });

  test("private addresses are allowed for what is listed, and for nothing that is misspelled", () => {
    const allow = (value: string) => () =>
      resolveSettings({ ...none, environment: { CLIPSCRIBE_ALLOW_PRIVATE: value } });

    for (const good of ["url", "store", "webhook,url,store"]) assert.doesNotThrow(allow(good));
    for (const bad of ["url,", "urls", "store webhook", ",store"]) {
      assert.throws(allow(bad), hasKind("config"), bad);
    }
  });

  test("all bad values are named at once, with their source", () => {
    const bad = {
      CLIPSCRIBE_USER: "../x",
      CLIPSCRIBE_STORE: "ftp:bucket",
      CLIPSCRIBE_LEASE_MS: "soon",
    };

    assert.throws(
      () => resolveSettings({ ...none, environment: bad }),
      (error) =>
        hasKind("config")(error) &&
        ["USER", "STORE", "LEASE"].every((part) => error.message.includes(part)),
    );
    assert.throws(
      () => resolveSettings({ ...none, "config.yaml": { NONSENSE: "1" } }),
      hasKind("config"),
    );
  });

  test("a secret shows that it is set, and nothing of it", () => {
    const setting = resolveSettings({ ...none, environment: { XAI_API_KEY: "canary" } }).get(
      "XAI_API_KEY",
    );

    assert.ok(setting);
    assert.equal(showSetting(setting), "(set, hidden)");
  });
});

describe("text from outside", () => {
  test("escape sequences, control codes and what reorders text are gone; words and breaks stay", () => {
    assert.equal(safeText("a\u001b[31mb\u001b]0;title\u0007c\u202ed\u0000e\nf\tg"), "abcde\nf\tg");
    assert.equal(safeLine("  a \n b  "), "a b");
    assert.equal(safeLine("x".repeat(20), 10), `${"x".repeat(9)}…`);
    assert.equal(safeText("\ud800"), "\ufffd");
  });
});

describe("did you mean", () => {
  test("slips find their word, strangers find none", () => {
    const words = ["timeout", "retry", "stages", "publish"];

    assert.equal(didYouMean("timeuot", words), "did you mean `timeout`?");
    assert.equal(didYouMean("Stage", words), "did you mean `stages`?");
    assert.equal(didYouMean("elephant", words), null);
  });
});
