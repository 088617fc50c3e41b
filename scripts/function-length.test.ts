import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { longFunctions } from "./function-length.ts";

const lines = (count: number, indent: string): string =>
  Array.from({ length: count }, (_, at) => `${indent}work(${at});`).join("\n");
const named = (text: string): string[] =>
  longFunctions(text, 10).map(({ name, line, lines: own }) => `${name}:${line} ${own}`);

describe("the length of a function", () => {
  test("is the lines between its head and its end, without blank lines and comments", () => {
    assert.deepEqual(named(`// One.\nfunction long(a: string): void {\n${lines(11, "  ")}\n}\n`), [
      "long:2 11",
    ]);
    const spaced = `function short() {\n${lines(10, "  ")}\n\n  // Why.\n  /** What. */\n}\n`;
    assert.deepEqual(named(spaced), []);
  });

  test("is found where the head takes several lines, in arrow functions and in methods", () => {
    const broken = `export async function long(\n  a: string,\n  b: string,\n): Promise<void> {\n${lines(11, "  ")}\n}\n`;
    assert.deepEqual(named(broken), ["long:1 11"]);
    assert.equal(
      named(`const long = async (a: string): Promise<void> => {\n${lines(11, "  ")}\n};\n`).length,
      1,
    );
    assert.equal(
      named(`return {\n  async long(key) {\n${lines(11, "    ")}\n  },\n};\n`).length,
      1,
    );
  });

  test("leaves out the functions inside it, which count by themselves", () => {
    const inside = `  function inner() {\n${lines(9, "    ")}\n  }\n`;
    const outer = `function outer() {\n${inside}${inside}  if (a) {\n    b();\n  }\n}\n`;

    assert.deepEqual(named(outer), []);
    assert.deepEqual(named(outer.replaceAll("work(8);", "work(8);\n    work(9);\n    work(10);")), [
      "inner:2 11",
      "inner:15 11",
    ]);
  });

  test("counts blocks that are no function", () => {
    const loops = `function long() {\n  for (const a of b) {\n${lines(10, "    ")}\n  }\n}\n`;

    assert.deepEqual(named(loops), ["long:1 12"]);
  });
});
