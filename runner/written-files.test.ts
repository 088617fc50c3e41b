import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { dirname } from "node:path";
import { describe, test } from "node:test";

import { z } from "zod";

import { sha256Of } from "../core/digest.ts";
import { defineStage, file } from "../core/stage.ts";
import type { StageContext } from "../core/stage.ts";
import { runStage } from "./stage-harness.ts";

const NOTE = { mediaType: "text/plain", fileName: "note.txt" };

function stageThat(work: (ctx: StageContext) => Promise<{ path: string }>) {
  return defineStage({
    input: {},
    output: { note: file(NOTE) },
    params: z.strictObject({}),
    needs: { tools: ["ffprobe"] },
    run: async ({ ctx }) => ({ note: await work(ctx) }),
  });
}

describe("what a stage writes", () => {
  test("is an output without ever being a file, where nothing asks for its path", async (t) => {
    const { artifacts } = await runStage(
      t,
      stageThat((ctx) => ctx.write("note.txt", "naïve \ud800 text")),
      { input: {} },
    );

    const made = artifacts["note"];
    const bytes = Buffer.from("naïve \ud800 text");
    assert.deepEqual(made?.content, { kind: "text", text: "naïve \ud800 text" });
    assert.equal(made.sha256, sha256Of(bytes));
    assert.equal(made.sizeBytes, bytes.length);
    assert.equal(made.mediaType, "text/plain");
  });

  test("is a file as soon as its path is asked for, and may be changed there", async (t) => {
    const { text, artifacts } = await runStage(
      t,
      stageThat(async (ctx) => {
        const written = await ctx.write("note.txt", "first");
        assert.equal(await ctx.readText(written), "first");
        const { appendFileSync } = await import("node:fs");
        appendFileSync(written.path, ", second");
        return written;
      }),
      { input: {} },
    );

    assert.equal(await text("note"), "first, second");
    assert.equal(artifacts["note"]?.content.kind, "file");
  });

  test("lies in the scratch folder before a tool runs there", async (t) => {
    const seen: boolean[] = [];
    await runStage(
      t,
      stageThat(async (ctx) => {
        const made = await ctx.write("note.txt", "for the tool");
        await ctx.tool("ffprobe", []);
        return made;
      }),
      {
        input: {},
        tools: {
          versions: () => Promise.resolve({}),
          run: ({ writableDir }) => {
            seen.push(existsSync(`${writableDir}/note.txt`));
            return Promise.resolve({ stdout: "", stderr: "" });
          },
        },
      },
    );

    assert.deepEqual(seen, [true]);
  });

  test("is what was written last under its name, whoever returns it", async (t) => {
    const { text } = await runStage(
      t,
      stageThat(async (ctx) => {
        const first = await ctx.write("note.txt", "first");
        await ctx.write("note.txt", "second");
        return first;
      }),
      { input: {} },
    );

    assert.equal(await text("note"), "second");
  });

  test("is overwritten by bytes, and found by who asks for the name's path", async (t) => {
    await runStage(
      t,
      stageThat(async (ctx) => {
        const first = await ctx.write("note.txt", "first");
        const { path } = await ctx.outputFile("note.txt");
        assert.equal(readFileSync(path, "utf8"), "first");
        await ctx.write("note.txt", Buffer.from("bytes"));
        assert.equal(readFileSync(first.path, "utf8"), "bytes");
        assert.equal(dirname(first.path), dirname(path));
        return first;
      }),
      { input: {} },
    );
  });
});
