import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { decodeCaptions } from "./decode-captions.ts";

const SRT = "1\n00:00:01,000 --> 00:00:02,000\n";
const swapped = (text: string): Buffer => Buffer.from(text, "utf16le").swap16();
/** ISO 8859-5 and the like have letters where Windows has others: bytes, not text. */
const cyrillic = Buffer.concat([
  Buffer.from(SRT),
  // "Мост закрыт." in windows-1251.
  Buffer.from([0xcc, 0xee, 0xf1, 0xf2, 0x20, 0xe7, 0xe0, 0xea, 0xf0, 0xfb, 0xf2, 0x2e]),
]);

describe("the encoding of captions", () => {
  for (const [encoding, bytes] of [
    ["utf-8", Buffer.from(`\ufeff${SRT}Ça va – 日本`)],
    ["utf-16le", Buffer.from(`\ufeff${SRT}Ça va – 日本`, "utf16le")],
    ["utf-16be", swapped(`\ufeff${SRT}Ça va – 日本`)],
    ["utf-16le", Buffer.from(`${SRT}Ça va – 日本`, "utf16le")],
    ["utf-16be", swapped(`${SRT}Ça va – 日本`)],
  ] as const) {
    test(`${encoding}${bytes[0] === 0x31 || bytes[1] === 0x31 ? " without a mark" : ""} is certain`, () => {
      const found = decodeCaptions(bytes, null);

      assert.deepEqual(found, { text: `${SRT}Ça va – 日本`, encoding, isCertain: true });
    });
  }

  test("Western letters of one byte are read, and said to be a guess", () => {
    const found = decodeCaptions(Buffer.from(`${SRT}Le maire a décidé.`, "latin1"), null);

    assert.deepEqual(found, {
      text: `${SRT}Le maire a décidé.`,
      encoding: "windows-1252",
      isCertain: false,
    });
  });

  test("other letters of one byte are read by the language of the file's name alone", () => {
    assert.equal(decodeCaptions(cyrillic, "ru")?.text, `${SRT}Мост закрыт.`);
    assert.equal(decodeCaptions(cyrillic, null), undefined);
    assert.equal(decodeCaptions(cyrillic, "en"), undefined);
  });

  test("what is no text is not read", () => {
    assert.equal(decodeCaptions(Buffer.from([0x31, 0x0a, 0, 0xff, 0xd8]), null), undefined);
    assert.equal(decodeCaptions(Buffer.from([0xff, 0xfe, 0x31]), null), undefined);
    assert.equal(decodeCaptions(Buffer.from([0x81, 0x8d, 0x90, 0x9d]), null), undefined);
    assert.equal(decodeCaptions(Buffer.alloc(0), null)?.text, "");
  });
});
