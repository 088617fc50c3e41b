import assert from "node:assert/strict";
import { describe, test } from "node:test";

import fc from "fast-check";

import { sha256Of } from "./digest.ts";
import { hasKind } from "./errors.ts";
import { ItemId, JobId, RunnerId, UserId } from "./ids.ts";
import { isPublishedName, keysOf, parseObjectKey, parseTicketKey, systemKeys } from "./keys.ts";

const anyText = fc.oneof(
  fc.string({ unit: "binary", maxLength: 40 }),
  fc.constantFrom("..", ".", "../them", "a/../../them", "/etc", "C:\\x", "\\\\host\\x", "a\u0000b"),
);
const id = fc.stringMatching(/^[a-z0-9](?:[a-z0-9-]{0,20}[a-z0-9])?$/);

describe("keys", () => {
  test("the keys are those of the design", () => {
    const keys = keysOf(UserId.parse("me"));
    const job = JobId.parse("run-talk-0a1b2c3d");
    const item = ItemId.parse("talk");
    const sha = sha256Of("x");

    assert.equal(
      keys.ticket("urgent", job, item, 2),
      "inbox/urgent/me/run-talk-0a1b2c3d/talk.2.json",
    );
    assert.equal(keys.source(sha, "MP4"), `sources/me/${sha}.mp4`);
    assert.equal(keys.metadata(job), "jobs/me/run-talk-0a1b2c3d/metadata.json");
    assert.equal(keys.item(job, item), "jobs/me/run-talk-0a1b2c3d/items/talk.json");
    assert.equal(keys.status(job), "jobs/me/run-talk-0a1b2c3d/status.json");
    assert.equal(
      keys.result(job, item, "report.md"),
      "results/me/run-talk-0a1b2c3d/talk/report.md",
    );
    assert.equal(keys.cache(sha), `cache/me/${sha}.json`);
    assert.equal(keys.blob(sha), `blobs/me/${sha}`);
    assert.equal(keys.dead(job, item), "dead/me/run-talk-0a1b2c3d/talk.json");
    assert.equal(keys.outbox(job, sha), `outbox/me/run-talk-0a1b2c3d/${sha}.json`);
    assert.equal(keys.budget(new Date("2026-11-24T23:59:59Z")), "budgets/me/2026-11-24.json");
    assert.equal(keys.jobBudget(job), `jobs/me/${job}/budget.json`);
    assert.equal(systemKeys.runner(RunnerId.parse("r1")), "sys/runners/r1.json");
  });

  test("whatever names come in, a key stays under its user's prefix or is refused", () => {
    fc.assert(
      fc.property(id, id, id, anyText, (user, job, item, file) => {
        const keys = keysOf(UserId.parse(user));
        let key: string;
        try {
          key = keys.result(JobId.parse(job), ItemId.parse(item), file);
        } catch (error) {
          assert.ok(hasKind("contract")(error));
          return;
        }
        assert.ok(key.startsWith(`results/${user}/${job}/${item}/`));
        assert.ok(!key.split("/").some((segment) => segment === ".." || segment === "."));
      }),
    );
  });

  test("no unchecked text becomes a user", () => {
    fc.assert(
      fc.property(anyText, (user) => {
        fc.pre(!UserId.safeParse(user).success);
        assert.throws(() => keysOf(user as UserId));
      }),
    );
  });

  test("a ticket's key reads back as what it was built from", () => {
    fc.assert(
      fc.property(id, id, id, fc.integer({ min: 1, max: 1_000_000 }), (u, j, i, run) => {
        const user = UserId.parse(u);
        const key = keysOf(user).ticket("batch", JobId.parse(j), ItemId.parse(i), run);

        assert.deepEqual(parseTicketKey(key), { lane: "batch", user, job: j, item: i, run });
      }),
    );
  });

  test("other keys are no tickets, and no text makes the parser throw", () => {
    assert.equal(parseTicketKey("inbox/urgent/me/job/item.0.json"), undefined);
    assert.equal(parseTicketKey("inbox/later/me/job/item.1.json"), undefined);
    assert.equal(parseTicketKey("inbox/urgent/me/../item.1.json"), undefined);
    assert.equal(parseTicketKey("results/urgent/me/job/item.1.json"), undefined);
    fc.assert(fc.property(anyText, (text) => void parseTicketKey(text)));
  });

  for (const bad of [
    "",
    "/a",
    "a//b",
    "a/./b",
    "a/../b",
    "a\nb",
    "a\\b",
    "a".repeat(1025),
    "\ud800",
  ]) {
    test(`${JSON.stringify(bad.slice(0, 12))} is refused as a key from outside`, () => {
      assert.throws(() => parseObjectKey(bad), hasKind("contract"));
    });
  }

  test("a key of 1,024 bytes passes, counted as UTF-8", () => {
    assert.equal(parseObjectKey("é".repeat(512)).length, 512);
    assert.throws(() => parseObjectKey("é".repeat(513)), hasKind("contract"));
  });

  test("published names have no leading dot and at most three parts", () => {
    assert.ok(isPublishedName("report.md"));
    assert.ok(isPublishedName("chapters/one.vtt"));
    assert.ok(!isPublishedName(".hidden"));
    assert.ok(!isPublishedName("a/b/c/d"));
    assert.ok(!isPublishedName("a b"));
  });
});
