import assert from "node:assert/strict";
import { describe, test } from "node:test";

import fc from "fast-check";

import { hasKind } from "./errors.ts";
import { parseUrlList } from "./url-list.ts";

describe("a list of URLs", () => {
  test("blank lines, comments and duplicates are no items; bad lines say why, with their number", () => {
    const text = [
      "\ufeff# my list",
      "",
      "https://example.org/a",
      "https://example.org/a",
      "file:///etc/passwd",
      "--exec=rm",
      "https://user:secret@example.org/",
      "https://example.org/b --exec rm",
      "javascript:alert(1)",
      "  http://example.org/c  ",
    ].join("\r\n");

    const list = parseUrlList(text, "txt");

    assert.deepEqual(list.urls, [
      { url: "https://example.org/a", line: 3 },
      { url: "http://example.org/c", line: 10 },
    ]);
    assert.equal(list.duplicates, 1);
    assert.deepEqual(
      list.refused.map(({ line }) => line),
      [5, 6, 7, 8, 9],
    );
    assert.ok(list.refused.every(({ why }) => why.length > 10));
  });

  test("Windows and macOS links and tables are read", () => {
    const webloc =
      "<plist><dict><key>URL</key><string>https://example.org/?a=1&amp;b=2</string></dict></plist>";

    assert.equal(parseUrlList(webloc, "webloc").urls[0]?.url, "https://example.org/?a=1&b=2");
    assert.equal(
      parseUrlList("[InternetShortcut]\nURL=https://example.org/x\n", "url").urls.length,
      1,
    );
    assert.deepEqual(parseUrlList('title,link\n"A","https://example.org/y"\n', "csv").urls, [
      { url: "https://example.org/y", line: 2 },
    ]);
  });

  test("ten thousand lines pass, one more is refused", () => {
    const lines = (count: number): string =>
      Array.from({ length: count }, (_, at) => `https://example.org/${at}`).join("\n");

    assert.equal(parseUrlList(lines(10_000), "txt").urls.length, 10_000);
    assert.throws(() => parseUrlList(lines(10_001), "txt"), hasKind("contract"));
    assert.throws(() => parseUrlList("bplist00", "webloc"), hasKind("contract"));
  });

  test("whatever the text, only http and https come out, and never an option", () => {
    const line = fc.oneof(
      fc.string(),
      fc.webUrl(),
      fc.constantFrom("-o /etc/x", "file://x", "\u0000"),
    );
    fc.assert(
      fc.property(fc.array(line), fc.constantFrom("txt", "csv", "url", "webloc"), (lines, kind) => {
        for (const { url } of parseUrlList(lines.join("\n"), kind).urls) {
          assert.match(url, /^https?:\/\/[^\s-]/);
        }
      }),
    );
  });
});
