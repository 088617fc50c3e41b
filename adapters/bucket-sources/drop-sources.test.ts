import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";

import { sha256Of } from "../../core/digest.ts";
import { hasKind } from "../../core/errors.ts";
import { UserId } from "../../core/ids.ts";
import { parseObjectKey } from "../../core/keys.ts";
import type { Source } from "../../core/records.ts";
import { openMemoryStore } from "../memory/memory-store.ts";
import { openDropSources } from "./drop-sources.ts";

const BYTES = Buffer.from("what was dropped");

/** The drop of `owner`, and a source that knows all about it. */
async function world(t: TestContext, key: string) {
  const dir = mkdtempSync(join(tmpdir(), "clipscribe-drop-sources-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const store = openMemoryStore();
  const etag = await store.put(parseObjectKey(key), BYTES);
  const source: Source = {
    kind: "file",
    url: null,
    filename: "talk.mp4",
    sha256: sha256Of(BYTES.toString()),
    size: BYTES.length,
    media_type: "video/mp4",
    drop: { key, etag },
  };
  return { dir, source, drops: openDropSources({ store, user: UserId.parse("me"), dir }) };
}

describe("a drop that a ticket names", () => {
  test("is brought here, and is what was meant", async (t) => {
    const { source, drops } = await world(t, "drops/me/talk.mp4");
    const { path } = await drops.locate(source, t.signal);

    assert.deepEqual(readFileSync(path), BYTES);
  });

  for (const key of ["drops/someone-else/talk.mp4", "sources/someone-else/talk.mp4"]) {
    test(`is not read where it is not its user's: ${key}`, async (t) => {
      const { dir, source, drops } = await world(t, key);

      await assert.rejects(drops.locate(source, t.signal), hasKind("contract"));
      assert.deepEqual(readdirSync(dir), []);
    });
  }
});
