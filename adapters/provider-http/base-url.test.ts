import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { endpoint } from "./base-url.ts";
import { languageCode } from "./language-code.ts";

const PATH = "/v1/audio/transcriptions";

describe("what servers of the same wire call things", () => {
  for (const [base, whole] of [
    ["http://127.0.0.1:8000", "http://127.0.0.1:8000/v1/audio/transcriptions"],
    ["http://127.0.0.1:8000/v1/", "http://127.0.0.1:8000/v1/audio/transcriptions"],
    ["http://127.0.0.1:8080/inference", "http://127.0.0.1:8080/inference"],
    [
      "https://asr.example/a/v1/audio/transcriptions",
      "https://asr.example/a/v1/audio/transcriptions",
    ],
  ] as const) {
    test(`${base} is asked at its place`, () => assert.equal(endpoint(base, PATH), whole));
  }

  for (const [said, code] of [
    ["en", "en"],
    ["pt-BR", "pt-BR"],
    ["english", "en"],
    ["German", "de"],
    ["Klingon", null],
    ["", null],
    [null, null],
  ] as const) {
    test(`the language ${said} is ${code}`, () => assert.equal(languageCode(said), code));
  }
});
