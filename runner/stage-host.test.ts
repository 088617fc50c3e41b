import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { readChatAnswer } from "./stage-host.ts";

describe("a chat model's answer", () => {
  const read = (content: string) => readChatAnswer({ content, isWhole: true });

  test("is found in a fence, behind thoughts, and between sentences", () => {
    for (const content of [
      '{"topics": []}',
      '\n```json\n{"topics": []}\n```\n',
      '<think>They want {"topics": "?"}.</think>\n\n{"topics": []}',
      'Here it is:\n{"topics": []}\nAnything else?',
    ]) {
      assert.deepEqual(read(content), { answer: { topics: [] } }, content);
    }
  });

  test("that is none, or was cut off, is of no use, and says why", () => {
    for (const content of ["", "Sure!", '{"topics": [', "} {"]) {
      assert.deepEqual(read(content), { unusable: "the model's answer is no JSON" }, content);
    }
    assert.deepEqual(readChatAnswer({ content: "{}", isWhole: false }), {
      unusable: "the model's answer ended at its limit",
    });
  });
});
