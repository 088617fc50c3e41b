import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { checkKeys } from "../core/keys.ts";
import { formatTicketEvent, parseObjectEvent } from "./object-event.ts";

const KEY = "inbox/urgent/me/20261124-1200-talk-7f3a/talk.1.json";
const kindOf = (value: unknown): string =>
  parseObjectEvent(typeof value === "string" ? value : JSON.stringify(value)).kind;

describe("a message", () => {
  test("of R2 names the ticket that was written", () => {
    const event = parseObjectEvent(
      JSON.stringify({
        account: "a",
        action: "CompleteMultipartUpload",
        bucket: "b",
        object: { key: KEY, size: 1, eTag: "x" },
        eventTime: "2026-11-24T12:00:00Z",
      }),
    );
    assert.deepEqual([event.kind, "key" in event && event.key], ["ticket", KEY]);
  });

  test("of S3 over SQS, and of MinIO, has the key form-encoded", () => {
    for (const [eventName, key] of [
      ["ObjectCreated:Put", KEY],
      ["s3:ObjectCreated:CompleteMultipartUpload", encodeURIComponent(KEY)],
    ]) {
      const record = { eventName, eventSource: "aws:s3", s3: { object: { key, size: 1 } } };
      const event = parseObjectEvent(JSON.stringify({ EventName: eventName, Records: [record] }));
      assert.equal("key" in event && event.key, KEY);
    }
  });

  test("of a deletion, of another key, or of a rule's test means nothing to do", () => {
    assert.equal(kindOf({ action: "DeleteObject", object: { key: KEY } }), "other");
    assert.equal(kindOf({ action: "LifecycleDeletion", object: { key: KEY } }), "other");
    assert.equal(kindOf({ action: "PutObject", object: { key: "results/me/x" } }), "other");
    assert.equal(kindOf({ Service: "Amazon S3", Event: "s3:TestEvent" }), "other");
    const record = { eventName: "ObjectRemoved:Delete", s3: { object: { key: KEY } } };
    assert.equal(kindOf({ Records: [record] }), "other");
  });

  test("that climbs, or names no lane or a run that is none, is no ticket", () => {
    for (const key of [
      "inbox/urgent/me/../../x/talk.1.json",
      KEY.replace("urgent", "later"),
      KEY.replace(".1.", ".0."),
      `${KEY}/more`,
    ]) {
      assert.equal(kindOf({ action: "PutObject", object: { key } }), "other", key);
    }
  });

  test("of a check is left to the check, and is neither a ticket nor a drop", () => {
    const id = "0b6c";
    for (const key of [checkKeys.ticket("urgent", id), checkKeys.drop(`${id}.mp4`)]) {
      assert.equal(kindOf({ action: "PutObject", object: { key } }), "check", key);
    }
    assert.equal(kindOf({ action: "PutObject", object: { key: "results/_check/x" } }), "other");
  });

  test("of no known shape is unreadable", () => {
    for (const body of ["", "hello", "[]", "{}", '{"Records":1}']) {
      assert.equal(kindOf(body), "unreadable", body);
    }
  });

  test("of our own reads back", () => {
    assert.equal(kindOf(formatTicketEvent(KEY, new Date())), "ticket");
  });
});
