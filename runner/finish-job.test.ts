import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { openMemoryStore } from "../adapters/memory/memory-store.ts";
import { PIPELINE, engineWorld } from "../bench/campaign-engine.ts";
import { sha256Of } from "../core/digest.ts";
import { ItemId, JobId, RunnerId, UserId } from "../core/ids.ts";
import { JOB_ITEM, keysOf } from "../core/keys.ts";
import { Digest, JobManifest, JobPart, OutboxMessage } from "../core/message-records.ts";
import type { Notify } from "../core/recipients.ts";
import type { JobRow } from "../core/records.ts";
import { failing } from "../ports/failing.ts";
import type { ObjectStore } from "../ports/object-store.ts";
import { layFinishedJob } from "../samples/finished-job.ts";
import type { EndedItem } from "../samples/finished-job.ts";
import { openArtifactShelf } from "./artifact-shelf.ts";
import { openJobFinisher } from "./finish-job.ts";
import type { JobFinisher } from "./finish-job.ts";
import { openJobMetadata } from "./job-metadata.ts";
import { openJobRows } from "./job-rows.ts";
import type { JobRows } from "./job-rows.ts";
import type { NewMessage } from "./outbox.ts";
import type { Mail } from "./world.ts";

const USER = UserId.parse("me");
const JOB = JobId.parse("20261124-2200-talks-7f3a");
const keys = keysOf(USER);
const { signal } = new AbortController();

const HELD: EndedItem = {
  id: "held",
  status: "held",
  error: { kind: "budget", message: "it would take the item to $3", hint: "raise it", cause: [] },
};
const FAILED: EndedItem = {
  id: "failed",
  status: "failed",
  error: { kind: "contract", message: "no sound", hint: "drop another file", cause: [] },
};
const ITEMS: EndedItem[] = [
  {
    id: "one",
    status: "complete",
    title: "One",
    cost: 0.25,
    graph: { names: ["Ana", "Bo"], met: [[0, 1]] },
  },
  {
    id: "two",
    status: "partial",
    missing: [{ stage: "topics", why: "the model refused" }],
    graph: { names: ["ana", "Cy"] },
  },
  HELD,
  FAILED,
];

interface Finishing {
  finisher: JobFinisher;
  rows: JobRows;
  messages: NewMessage[];
}

function open(
  store: ObjectStore,
  options: {
    runner?: string;
    living?: readonly string[];
    mail?: Partial<Mail>;
    notify?: Notify;
  } = {},
): Finishing {
  const { runner = "runner-a", living = [], mail = {} } = options;
  const base = engineWorld({ store, runner });
  const found = { ...PIPELINE, ...(options.notify !== undefined && { notify: options.notify }) };
  const pipelines = { current: () => found, find: async () => found };
  const world = { ...base, pipelines, mail: { ...base.mail, ...mail } };
  const jobs = openJobMetadata(store, keys);
  const messages: NewMessage[] = [];
  const finisher = openJobFinisher({
    world,
    keys,
    shelf: openArtifactShelf(store, keys, world.defences),
    jobs,
    liveness: { isAlive: async (id) => living.includes(id), lost: signal },
    putMessage: async (message) => void messages.push(message),
  });
  const rows = openJobRows({
    store,
    keys,
    jobs,
    clock: world.clock,
    onFinished: finisher.onFinished,
  });
  return { finisher, rows, messages };
}

async function lay(store: ObjectStore, items = ITEMS, job: string = JOB): Promise<void> {
  const status = await layFinishedJob(store, { user: USER, job, items });
  await store.put(keys.status(JobId.parse(job)), Buffer.from(JSON.stringify(status)));
}

async function read<Value>(
  store: ObjectStore,
  key: Parameters<ObjectStore["get"]>[0],
  schema: { parse(value: unknown): Value },
): Promise<Value> {
  const { body } = await store.get(key);
  return schema.parse(JSON.parse(Buffer.from(body).toString("utf8")));
}

describe("the end of a job", () => {
  test("the digest says what became of each item, what it cost, and what needs whom", async () => {
    const store = openMemoryStore();
    await lay(store);

    await open(store).finisher.finish(JOB);

    const digest = await read(store, keys.jobResult(JOB, "digest.json"), Digest);
    assert.deepEqual(digest.counts, { complete: 1, partial: 1, held: 1, failed: 1, cancelled: 0 });
    assert.equal(digest.cost_usd, 0.25);
    assert.deepEqual(
      digest.items.map(({ item_id, report, act }) => [item_id, report, act?.command ?? null]),
      [
        ["one", "one/report.html", null],
        ["two", "two/report.html", null],
        ["held", null, `clipscribe approve ${JOB}`],
        ["failed", null, `clipscribe replay ${JOB}/failed`],
      ],
    );
    assert.deepEqual(digest.items[1]?.why, ["topics is missing: the model refused"]);
    assert.deepEqual(digest.graph, { nodes: 3, edges: 1, left_out: [] });
  });

  test("the job's manifest names every file by its hash, and its record names the manifest", async () => {
    const store = openMemoryStore();
    await lay(store);

    await open(store).finisher.finish(JOB);

    const part = await read(store, keys.item(JOB, JOB_ITEM), JobPart);
    const shown = await store.get(keys.jobResult(JOB, "manifest.json"));
    assert.equal(part.status, "complete");
    assert.equal(sha256Of(shown.body), part.manifest?.sha256);
    const { files } = JobManifest.parse(JSON.parse(Buffer.from(shown.body).toString()));
    assert.ok(files.length >= 5);
    for (const { path, sha256 } of files) {
      const { body } = await store.get(keys.jobResult(JOB, path));
      assert.equal(sha256Of(body), sha256, path);
    }
  });

  test("the message has the counts, the cost, how to fetch, and goes to a file by default", async () => {
    const store = openMemoryStore();
    await lay(store);
    const { finisher, messages } = open(store);

    await finisher.finish(JOB);

    const [message] = messages;
    assert.equal(message?.subject, `ClipScribe: Job ${JOB} complete`);
    assert.match(message?.text ?? "", /1 complete, 1 partial, 1 held, 1 failed. Cost: \$0.25/);
    assert.match(message?.text ?? "", new RegExp(`clipscribe batch fetch ${JOB}`));
    assert.match(message?.text ?? "", new RegExp(`clipscribe approve ${JOB}`));
    const body = JSON.parse(message?.body ?? "{}") as Record<string, unknown>;
    assert.equal(body["event"], "job.complete");
    assert.equal(body["job_id"], JOB);
    assert.equal(body["video_count"], 4);
    assert.equal(body["cost"], 0.25);
    assert.deepEqual(
      message?.deliveries.map(({ channel }) => channel),
      ["file"],
    );
  });

  test("what the job's book says was spent counts, where earlier runs cost more", async () => {
    const store = openMemoryStore();
    await lay(store);
    const book = { schema: 1, spent: 1.5, grants: {}, updated_at: "2026-11-24T22:00:00Z" };
    await store.put(keys.jobBudget(JOB), Buffer.from(JSON.stringify(book)));

    await open(store).finisher.finish(JOB);

    const digest = await read(store, keys.jobResult(JOB, "digest.json"), Digest);
    assert.equal(digest.cost_usd, 1.5);
  });

  test("for the same rows it is done once, by however many tails it is found", async () => {
    const store = openMemoryStore();
    await lay(store);
    const first = open(store);

    await Promise.all([first.finisher.finish(JOB), first.finisher.finish(JOB)]);
    const other = open(store, { runner: "runner-b" });
    await other.finisher.finish(JOB);

    assert.equal(first.messages.length + other.messages.length, 1);
  });

  test("a single file that nobody wants to hear of makes nothing", async () => {
    const store = openMemoryStore();
    await lay(store, [FAILED]);
    const { finisher, messages } = open(store);

    await finisher.finish(JOB);

    assert.deepEqual(messages, []);
    assert.equal(await store.head(keys.item(JOB, JOB_ITEM)), undefined);
  });

  test("settings name whom to tell of a job that names nobody, but not of a one-off", async () => {
    const store = openMemoryStore();
    const oneOff = JobId.parse("run-talk-1a2b3c4d");
    await lay(store, [FAILED]);
    await lay(store, [FAILED], oneOff);
    const defaults = { email: "desk@example.org", webhook: null };
    const { finisher, messages } = open(store, { mail: { defaults } });

    await finisher.finish(JOB);
    await finisher.finish(oneOff);

    assert.deepEqual(
      messages.map(({ job, deliveries }) => [job, deliveries.map(({ to }) => to)]),
      [[JOB, ["desk@example.org"]]],
    );
  });

  test("a pipeline's `notify:` comes before the settings, and what the job says before both", async () => {
    const store = openMemoryStore();
    const named = JobId.parse("20261124-2201-named-7f3a");
    await lay(store, [FAILED]);
    const notify = { email: "me@example.org", webhook: null };
    const status = await layFinishedJob(store, { user: USER, job: named, items: [FAILED], notify });
    await store.put(keys.status(named), Buffer.from(JSON.stringify(status)));
    const defaults = { email: "desk@example.org", webhook: null };
    const ofFile = { email: null, webhook: "https://example.org/hook" };
    const { finisher, messages } = open(store, { mail: { defaults }, notify: ofFile });

    await finisher.finish(JOB);
    await finisher.finish(named);

    assert.deepEqual(
      messages.map(({ deliveries }) => deliveries.map(({ to }) => to)),
      [["https://example.org/hook"], ["me@example.org"]],
    );
  });

  test("an item with a newer ticket is on its way: what ends that run finishes the job", async () => {
    const store = openMemoryStore();
    await lay(store);
    const ticket = keys.ticket("batch", JOB, ItemId.parse("held"), 2);
    await store.put(ticket, Buffer.from("{}"));
    const { finisher, messages, rows } = open(store);

    await finisher.finish(JOB);
    const before = messages.length;
    const done: JobRow = { status: "failed", run: 2, cost: 0.5, manifest: null };
    await rows.set(JOB, ItemId.parse("held"), done);

    assert.equal(before, 0);
    assert.equal(messages.length, 1);
    assert.match(messages[0]?.text ?? "", /1 complete, 1 partial, 2 failed/);
  });

  test("another run's rows make another message, and files that are no longer made go", async () => {
    const store = openMemoryStore();
    await lay(store);
    const { finisher, messages, rows } = open(store);
    await finisher.finish(JOB);
    // Both graphs are gone: the next digest has none to merge.
    const items = ITEMS.map(({ graph: _graph, ...item }) => ({ ...item, run: 2 }));
    const next = await layFinishedJob(store, { user: USER, job: JOB, items });

    await Promise.all(
      Object.entries(next.rows).map(async ([id, row]) => rows.set(JOB, ItemId.parse(id), row)),
    );

    assert.equal(new Set(messages.map(({ id }) => id)).size, messages.length);
    assert.ok(messages.length >= 2);
    assert.equal(await store.head(keys.jobResult(JOB, "knowledge_graph.json")), undefined);
    assert.ok(await store.head(keys.jobResult(JOB, "digest.html")));
  });

  test("a living runner's claim is waited for, since its owner may be known by this very ticket", async () => {
    const store = openMemoryStore();
    await lay(store);
    const rows = sha256Of("other");
    const part: JobPart = {
      schema: 1,
      job_id: JOB,
      user: USER,
      status: "processing",
      rows_sha256: rows,
      epoch: 3,
      owner: RunnerId.parse("runner-b"),
      attempts: 1,
      manifest: null,
      error: null,
      updated_at: "2026-11-24T22:00:00Z",
    };
    const now = await readRows(store);
    await store.put(
      keys.item(JOB, JOB_ITEM),
      Buffer.from(JSON.stringify({ ...part, rows_sha256: now })),
    );

    // It was seen alive a moment after it had been killed.
    const living = ["runner-b"];
    const { finisher, messages } = open(store, { living });
    let isOver = false;
    const finishing = finisher.finish(JOB).then(() => (isOver = true));
    await new Promise((resolve) => setTimeout(resolve, 50));
    const wasOver = isOver;
    living.pop();
    await finishing;

    assert.equal(wasOver, false);
    assert.equal(messages.length, 1);
    const after = await read(store, keys.item(JOB, JOB_ITEM), JobPart);
    assert.deepEqual([after.status, after.epoch, after.owner], ["complete", 4, null]);
  });

  test("a claim for older rows is taken over, whoever has it", async () => {
    const store = openMemoryStore();
    await lay(store);
    const part = {
      schema: 1,
      job_id: JOB,
      user: USER,
      status: "processing",
      rows_sha256: sha256Of("older rows"),
      epoch: 3,
      owner: "runner-b",
      attempts: 5,
      manifest: null,
      error: null,
      updated_at: "2026-11-24T22:00:00Z",
    };
    await store.put(keys.item(JOB, JOB_ITEM), Buffer.from(JSON.stringify(part)));
    const { finisher, messages } = open(store, { living: ["runner-b"] });

    await finisher.finish(JOB);

    assert.equal(messages.length, 1);
  });

  test("five claims that ended nothing end in a message that says so", async () => {
    const store = openMemoryStore();
    await lay(store);
    const part = {
      schema: 1,
      job_id: JOB,
      user: USER,
      status: "processing",
      rows_sha256: await readRows(store),
      epoch: 5,
      owner: "runner-dead",
      attempts: 5,
      manifest: null,
      error: null,
      updated_at: "2026-11-24T22:00:00Z",
    };
    await store.put(keys.item(JOB, JOB_ITEM), Buffer.from(JSON.stringify(part)));
    const { finisher, messages } = open(store);

    await finisher.finish(JOB);

    assert.match(messages[0]?.text ?? "", /There is no digest: gave up/);
    assert.match(messages[0]?.text ?? "", /1 complete, 1 partial, 1 held, 1 failed/);
    assert.equal((await read(store, keys.item(JOB, JOB_ITEM), JobPart)).status, "failed");
  });

  test("a damaged graph is left out and said, and keeps nothing else from being made", async () => {
    const store = openMemoryStore();
    await lay(store);
    const graph = JSON.stringify({ nodes: [], edges: [] });
    for await (const { key } of store.list("blobs/me/")) {
      const { body } = await store.get(key);
      if (Buffer.from(body).toString().includes('"Cy"')) await store.put(key, Buffer.from(graph));
    }

    await open(store).finisher.finish(JOB);

    const digest = await read(store, keys.jobResult(JOB, "digest.json"), Digest);
    assert.deepEqual(
      digest.graph.left_out.map(({ item_id: item }) => item),
      ["two"],
    );
    assert.equal(digest.graph.nodes, 2);
    assert.match(
      Buffer.from((await store.get(keys.jobResult(JOB, "digest.md"))).body).toString(),
      /left out: two/,
    );
  });

  test("hostile titles and errors are text in every page and in the mail", async () => {
    const store = openMemoryStore();
    const title = `<svg onload=alert(1)>"[x](javascript:1)\r\nBcc: a@b.c\u001b[31m | =cmd`;
    const error = { kind: "contract" as const, message: title, hint: title, cause: [] };
    await lay(store, [
      { id: "one", status: "complete", title },
      { id: "two", status: "failed", error },
    ]);
    const { finisher, messages } = open(store);

    await finisher.finish(JOB);

    const text = async (file: string): Promise<string> =>
      Buffer.from((await store.get(keys.jobResult(JOB, file))).body).toString();
    const html = await text("digest.html");
    assert.doesNotMatch(html, /<svg|javascript:1\)"|\u001b/);
    assert.match(html, /default-src 'none'/);
    const markdown = await text("digest.md");
    assert.doesNotMatch(markdown, /(?<!\\)<svg|(?<!\\)\]\\?\(javascript|\u001b|\nBcc/);
    const [message] = messages;
    assert.doesNotMatch(message?.html ?? "<svg", /<svg/);
    assert.doesNotMatch(message?.text ?? "\u001b", /\u001b|\nBcc/);
    assert.equal(message?.subject, `ClipScribe: Job ${JOB} complete`);
  });

  test("cut off at any operation of the store, the next one makes it whole, with one message", async () => {
    let operations = 0;
    const probe = openMemoryStore();
    await lay(probe);
    const counted = failing(probe, { at: -1, mode: "error", onOperation: () => operations++ });
    await open(counted).finisher.finish(JOB);
    assert.ok(operations > 20);

    for (let at = 1; at <= operations; at++) {
      for (const mode of ["error", "lost-answer"] as const) {
        const store = openMemoryStore();
        await lay(store);
        const first = open(failing(store, { at, mode }));
        await first.finisher.finish(JOB).catch(() => undefined);
        const second = open(store, { runner: "runner-b" });
        await second.finisher.finish(JOB);

        const ids = [...first.messages, ...second.messages].map(({ id }) => id);
        assert.equal(new Set(ids).size, 1, `operation ${at}, ${mode}`);
        const part = await read(store, keys.item(JOB, JOB_ITEM), JobPart);
        assert.equal(part.status, "complete", `operation ${at}, ${mode}`);
        const shown = await store.get(keys.jobResult(JOB, "manifest.json"));
        assert.equal(sha256Of(shown.body), part.manifest?.sha256, `operation ${at}, ${mode}`);
      }
    }
  });
});

async function readRows(store: ObjectStore): Promise<string> {
  const { digestOfRows } = await import("../core/job-digest.ts");
  const { JobStatus } = await import("../core/records.ts");
  return digestOfRows((await read(store, keys.status(JOB), JobStatus)).rows);
}

test("an outbox record of yesterday's shape is still read", () => {
  const now = "2026-11-25T06:00:00.000Z";
  const record = {
    schema: 1,
    id: sha256Of("x"),
    job_id: JOB,
    user: USER,
    subject: "s",
    text: "t",
    html: "h",
    body: "{}",
    created_at: now,
    deliveries: [{ channel: "file", to: null, state: "waiting", at: null, error: null }],
    attempts: 1,
    not_before: null,
    epoch: 1,
    owner: null,
    updated_at: now,
  };

  assert.equal(OutboxMessage.parse(record).deliveries.length, 1);
});
