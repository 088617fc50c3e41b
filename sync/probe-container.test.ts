import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";

import fc from "fast-check";

import { probeContainer } from "./probe-container.ts";
import type { ContainerVerdict } from "./probe-container.ts";

async function probe(bytes: Uint8Array, allocatedBytes = bytes.length): Promise<ContainerVerdict> {
  return probeContainer({
    sizeBytes: bytes.length,
    allocatedBytes,
    read: (offset, length) => Promise.resolve(bytes.subarray(offset, offset + length)),
  });
}

function box(type: string, body: Uint8Array = new Uint8Array(16)): Buffer {
  const header = Buffer.alloc(8);
  header.writeUInt32BE(8 + body.length);
  header.write(type, 4, "latin1");
  return Buffer.concat([header, body]);
}

function riff(declared: number, bytes: number): Buffer {
  const file = Buffer.alloc(bytes, 1);
  file.write("RIFF", 0);
  file.writeUInt32LE(declared, 4);
  file.write("WAVE", 8);
  return file;
}

function oggPage(body: number): Buffer {
  const page = Buffer.alloc(28 + body, 7);
  page.write("OggS", 0);
  page[26] = 1;
  page[27] = body;
  return page;
}

/** EBML header of 3 bytes, then a segment that says its length in eight bytes. */
function matroska(declared: bigint, body: number): Buffer {
  const head = Buffer.from([0x1a, 0x45, 0xdf, 0xa3, 0x83, 1, 2, 3, 0x18, 0x53, 0x80, 0x67]);
  const length = Buffer.alloc(8);
  length.writeBigUInt64BE((1n << 56n) | declared);
  return Buffer.concat([head, length, Buffer.alloc(body, 5)]);
}

const mp4 = Buffer.concat([box("ftyp"), box("mdat", Buffer.alloc(5_000, 9)), box("moov")]);
const fast = Buffer.concat([box("ftyp"), box("moov"), box("mdat", Buffer.alloc(50_000, 9))]);

describe("a container", () => {
  test("whole: every format that says its length and has it", async () => {
    const sample = readFileSync(join(import.meta.dirname, "..", "samples", "council-meeting.mp4"));
    for (const bytes of [
      sample,
      mp4,
      fast,
      riff(992, 1000),
      matroska(64n, 64),
      Buffer.concat([oggPage(40), oggPage(20)]),
      Buffer.from("fLaC and what follows"),
      Buffer.concat([Buffer.from([0xff, 0xfb]), Buffer.alloc(500, 3)]),
    ]) {
      assert.equal((await probe(bytes)).is, "whole");
    }
  });

  test("a movie cut off anywhere is short, wherever its index is", () => {
    const anywhere = fc.oneof(fc.integer({ min: 9, max: 5_000 }), fc.constantFrom(24, 48));
    return fc.assert(
      fc.asyncProperty(anywhere, fc.constantFrom(mp4, fast), async (at, whole) => {
        assert.equal((await probe(whole.subarray(0, at))).is, "short");
      }),
    );
  });

  test("preallocated to its full length, it is short until its end is written", async () => {
    const slow = Buffer.alloc(mp4.length);
    mp4.copy(slow, 0, 0, 3_000);
    assert.equal((await probe(slow, 4_096)).is, "short");

    const index = Buffer.alloc(fast.length);
    fast.copy(index, 0, 0, 20_000);
    assert.equal((await probe(index, 20_480)).is, "short");
    assert.equal((await probe(Buffer.alloc(10_000), 0)).is, "short");
  });

  test("a sparse file that ends in data is whole: holes alone prove nothing", async () => {
    assert.equal((await probe(fast, 8_192)).is, "whole");
  });

  test("wav, ogg and matroska cut off are short; a recording that never says its length is not", async () => {
    assert.equal((await probe(riff(5_000, 1_000))).is, "short");
    assert.equal((await probe(matroska(100n, 64))).is, "short");
    const pages = Buffer.concat([oggPage(40), oggPage(200)]);
    assert.equal((await probe(pages.subarray(0, pages.length - 30))).is, "short");
    assert.equal((await probe(riff(0xffffffff, 1_000))).is, "whole");
    assert.equal((await probe(matroska((1n << 56n) - 1n, 64))).is, "whole");
  });

  test("padding after the last box is nothing that is missing", async () => {
    assert.equal((await probe(Buffer.concat([mp4, Buffer.alloc(5)]))).is, "whole");
    assert.equal((await probe(Buffer.concat([mp4, Buffer.alloc(64)]))).is, "whole");
  });

  test("text, archives and noise are foreign, and never hang or throw", async () => {
    assert.equal((await probe(Buffer.from("PK\u0003\u0004 an archive"))).is, "foreign");
    assert.equal((await probe(Buffer.from("#EXTM3U\nhttp://x\n"))).is, "foreign");
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 300 }), async (bytes) => {
        await probe(bytes);
      }),
    );
  });

  test("lengths that lie move on or end: no loop, no reading past the end", async () => {
    const liar = Buffer.alloc(32);
    liar.write("ftyp", 4);
    liar.writeUInt32BE(4, 0);
    assert.equal((await probe(liar)).is, "short");
    liar.writeUInt32BE(1, 0);
    liar.writeBigUInt64BE(2n ** 63n, 8);
    assert.equal((await probe(liar)).is, "short");
  });
});
