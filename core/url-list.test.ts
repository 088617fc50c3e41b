import assert from "node:assert/strict";
import { describe, test } from "node:test";

import fc from "fast-check";

import { hasKind } from "./errors.ts";
import { parseUrlList } from "./url-list.ts";

/** What Python's plistlib writes, whose binary form is Apple's. */
const ASCII_WEBLOC =
  "62706c6973743030d101025355524c5f102168747470733a2f2f6578616d706c652e6f72672f77617463683f763d6126623d32080b0f0000000000000101000000000000000300000000000000000000000000000033";
const UTF16_WEBLOC =
  "62706c6973743030d101025355524c6f102100680074007400700073003a002f002f006500780061006d0070006c0065002e006f00720067002f00770061007400630068003f0076003d006100260062003d00fc080b0f0000000000000101000000000000000300000000000000000000000000000054";

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
      { url: "https://example.org/b", line: 8 },
      { url: "http://example.org/c", line: 10 },
    ]);
    assert.equal(list.duplicates, 1);
    assert.deepEqual(
      list.refused.map(({ line }) => line),
      [5, 6, 7, 9],
    );
    assert.deepEqual(list.ignored, [{ line: 8, text: "--exec rm" }]);
    assert.ok(list.refused.every(({ why }) => why.length > 10));
  });

  test("words behind a URL are left out and named, a comment is not worth a word", () => {
    const list = parseUrlList(
      "https://a.example/1 # the first\nhttps://a.example/2 -o x\n",
      "urls",
    );

    assert.deepEqual(
      list.urls.map(({ url }) => url),
      ["https://a.example/1", "https://a.example/2"],
    );
    assert.deepEqual(list.ignored, [{ line: 2, text: "-o x" }]);
  });

  test("a Windows link is the address of its own section, in any encoding that Windows writes", () => {
    const text =
      "[Other]\r\nURL=https://example.org/wrong\r\n[InternetShortcut]\r\nURL=https://example.org/x\r\nIconFile=https://example.org/icon\r\n";

    for (const content of [text, Buffer.from(`\ufeff${text}`, "utf16le")]) {
      assert.deepEqual(parseUrlList(content, "url").urls, [
        { url: "https://example.org/x", line: 4 },
      ]);
    }
  });

  test("a macOS link is read as XML, as a binary property list, and with characters beyond ASCII", () => {
    const xml =
      "<plist><dict><key>Title</key><string>https://wrong.example</string><key>URL</key>\n<string>https://example.org/?a=1&amp;b=&#50;</string></dict></plist>";
    const binary = (hex: string): Buffer => Buffer.from(hex, "hex");

    const urls = [xml, binary(ASCII_WEBLOC), binary(UTF16_WEBLOC)].map(
      (content) => parseUrlList(content, "webloc").urls[0]?.url,
    );

    assert.deepEqual(urls, [
      "https://example.org/?a=1&b=2",
      "https://example.org/watch?v=a&b=2",
      "https://example.org/watch?v=a&b=%C3%BC",
    ]);
  });

  test("a binary link that is cut or lies about itself is refused, never a crash or a long wait", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 300 }),
        fc.nat(130),
        fc.nat(255),
        (bytes, at, value) => {
          const lying = Buffer.from(ASCII_WEBLOC, "hex");
          lying[at % lying.length] = value;
          for (const content of [bytes, lying, lying.subarray(0, at)]) {
            try {
              parseUrlList(content, "webloc");
            } catch (error) {
              assert.ok(hasKind("contract")(error), String(error));
            }
          }
        },
      ),
      { numRuns: 500 },
    );
  });

  test("a table is read by its column of addresses; without one, by the first address of a row", () => {
    const named =
      'title;Video URL;thumbnail\n"One; two\nthree";https://a.example/1;https://t.example/1\n;;\nX;nonsense;https://t.example/2\n';
    const plain =
      'Talk,https://a.example/1\n"A ""second"", one","https://a.example/2?x=1,2"\nno address,\n';

    assert.deepEqual(parseUrlList(named, "csv").urls, [{ url: "https://a.example/1", line: 2 }]);
    assert.deepEqual(
      parseUrlList(named, "csv").refused.map(({ line, text }) => [line, text]),
      [[5, "nonsense"]],
    );
    assert.deepEqual(parseUrlList(plain, "csv").urls, [
      { url: "https://a.example/1", line: 1 },
      { url: "https://a.example/2?x=1,2", line: 2 },
    ]);
    assert.deepEqual(
      parseUrlList(plain, "csv").refused.map(({ line }) => line),
      [3],
    );
  });

  test("a table never hides an address that is not allowed", () => {
    const { urls, refused } = parseUrlList("name,x\na,file:///etc/passwd\nb,javascript:1\n", "csv");

    assert.deepEqual([urls.length, refused.map(({ line }) => line)], [0, [2, 3]]);
  });

  test("ten thousand lines pass, one more is refused, and a million at once", () => {
    const lines = (count: number): string =>
      Array.from({ length: count }, (_, at) => `https://example.org/${at}`).join("\n");

    assert.equal(parseUrlList(`${lines(10_000)}\n`, "txt").urls.length, 10_000);
    assert.throws(() => parseUrlList(lines(10_001), "txt"), hasKind("contract"));
    assert.throws(() => parseUrlList("\n".repeat(1_000_000), "txt"), hasKind("contract"));
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
        let urls: { url: string }[] = [];
        try {
          urls = parseUrlList(lines.join("\n"), kind).urls;
        } catch (error) {
          assert.ok(hasKind("contract")(error));
        }
        for (const { url } of urls) assert.match(url, /^https?:\/\/[^\s-]/);
      }),
    );
  });
});
