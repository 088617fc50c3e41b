/** What every Notifier keeps. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";

import { hasKind } from "../core/errors.ts";
import type { Message, Notifier } from "./notifier.ts";

export interface Received {
  /** What a receiver tells copies by. */
  id: string;
  subject: string | null;
  /** All that arrived, as text. */
  content: string;
  /** Header lines, where there are any. */
  headers: readonly string[];
}

export interface NotifierUnderTest {
  notifier: Notifier;
  to: string | null;
  received(): Promise<readonly Received[]>;
}

const MESSAGE: Message = {
  id: "a".repeat(64),
  name: "run-talks-1a2b3c4d",
  subject: "ClipScribe: Job run-talks-1a2b3c4d complete",
  text: "3 complete\n",
  html: "<p>3 complete</p>",
  body: '{"event":"job.complete","video_count":3}',
  createdAt: new Date("2026-11-25T06:00:00Z"),
};

export function describeNotifier(
  name: string,
  open: (t: TestContext) => Promise<NotifierUnderTest>,
): void {
  describe(`Notifier contract: ${name}`, () => {
    test("a message arrives once, whole, with its id", async (t) => {
      const { notifier, to, received } = await open(t);

      await notifier.send(MESSAGE, to, { signal: t.signal });

      const [first, ...others] = await received();
      assert.deepEqual(others, []);
      assert.ok(first?.id.includes(MESSAGE.id));
      assert.match(first?.content ?? "", /3 complete|"video_count":3/);
    });

    test("sent again it has the same id, and another message another one", async (t) => {
      const { notifier, to, received } = await open(t);

      await notifier.send(MESSAGE, to);
      await notifier.send(MESSAGE, to);
      await notifier.send({ ...MESSAGE, id: "b".repeat(64) }, to);

      const ids = (await received()).map(({ id }) => id);
      assert.equal(new Set(ids).size, 2);
    });

    test("what looks like headers in a message becomes none", async (t) => {
      const { notifier, to, received } = await open(t);
      const evil = "done\r\nBcc: victim@example.org\r\nX-Evil: 1\u0000\u2028Y-Evil: 2";

      await notifier.send({ ...MESSAGE, subject: evil, text: evil, html: evil }, to);

      const [first] = await received();
      const names = first?.headers.map((line) => line.split(":")[0]?.toLowerCase()) ?? [];
      for (const name of ["bcc", "x-evil", "y-evil"]) assert.ok(!names.includes(name), name);
    });

    test("nothing is sent once the signal has aborted", async (t) => {
      const { notifier, to, received } = await open(t);

      const sending = notifier.send(MESSAGE, to, { signal: AbortSignal.abort() });

      await assert.rejects(sending, hasKind("cancelled"));
      assert.deepEqual(await received(), []);
    });
  });
}
