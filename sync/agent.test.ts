import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  appendFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";

import { DropOptions } from "../core/drop-records.ts";
import { ClipscribeError } from "../core/errors.ts";
import { JobId } from "../core/ids.ts";
import { endUnprepared } from "../core/item-state.ts";
import { keysOf } from "../core/keys.ts";
import { ItemState, Metadata } from "../core/records.ts";
import { sha256Of } from "../core/digest.ts";
import { AGENT_USER, movie, openAgentWorld } from "../samples/agent-world.ts";

describe("a job whose record can't be read", () => {
  test("its item fails, which is said once, and telling the job is tried ever more seldom", async (t) => {
    let reads = 0;
    const w = openAgentWorld(t, {
      change: (world) => ({
        ...world,
        store: {
          ...world.store,
          get: (async (key, options) => {
            if (!key.endsWith("/metadata.json")) return world.store.get(key, options ?? {});
            reads++;
            throw new ClipscribeError("contract", "a record can't be read");
          }) as typeof world.store.get,
        },
        handOff: () => Promise.reject(new ClipscribeError("contract", "a record can't be read")),
      }),
    });
    w.drop("talk.mp4");

    w.start();
    const startedMs = performance.now();
    await w.until(() => reads >= 3, "the third try");

    // After a second, and two more: not as fast as the loop turns.
    assert.ok(performance.now() - startedMs > 2_000);
    assert.equal(w.events.filter(({ type }) => type === "item-failed").length, 1);
    assert.ok(w.events.every(({ type }) => type !== "trouble"));
    assert.deepEqual(w.list("inbox"), ["talk.mp4"]);
  });
});

describe("a drop", () => {
  test("becomes a job with a ticket, its original moves to done with its captions and options", async (t) => {
    const w = openAgentWorld(t);
    w.drop("Élan vital.mp4.yaml", "budget: 2\nlane: urgent\n");
    w.drop("Élan vital.en.vtt", "WEBVTT\n");
    w.drop("Élan vital.mp4");

    w.start();
    await w.until(() => w.ledger.countByPhase().done === 1);

    const [ticket, ...others] = await w.tickets();
    assert.equal(others.length, 0);
    assert.match(ticket?.job_id ?? "", /^\d{8}-\d{4}-elan-vital-[0-9a-f]{4}$/);
    assert.equal(ticket?.item_id, "elan-vital");
    assert.equal(ticket?.lane, "urgent");
    assert.deepEqual(
      ticket?.artifacts.map(({ name }) => name),
      ["sidecar:Élan vital.en.vtt"],
    );
    assert.deepEqual(w.list("done"), [
      "Élan vital.en.vtt",
      "Élan vital.mp4",
      "Élan vital.mp4.yaml",
    ]);
    assert.deepEqual(w.list("inbox"), []);
    assert.equal(w.ledger.listAwaited().length, 1);
  });

  test("where the store is a disk, the original lies in done before its ticket is written", async (t) => {
    let ticketed: string[] = [];
    const w = openAgentWorld(t, {
      sourcesStay: true,
      change: (world) => ({
        ...world,
        async handOff(work) {
          ticketed = [work.item.path ?? ""];
          return world.handOff(work);
        },
      }),
    });
    const bytes = movie("talk");
    w.drop("talk.mp4", bytes);

    w.start();
    await w.until(() => w.ledger.countByPhase().done === 1);

    assert.deepEqual(ticketed, [join(w.dir, "done", "talk.mp4")]);
    const [ticket] = await w.tickets();
    assert.ok(ticket);
    const located = await w.hashes.locate(ticket.source, t.signal);
    assert.equal(located.path, join(w.dir, "done", "talk.mp4"));
    await located.verify();
    assert.equal(ticket.source.sha256, sha256Of(bytes));
  });

  test("the same name twice is kept twice; nothing in done is written over", async (t) => {
    const w = openAgentWorld(t);
    w.start();
    w.drop("talk.mp4", movie("first"));
    await w.until(() => w.ledger.countByPhase().done === 1);
    w.drop("talk.mp4", movie("second"));
    await w.until(() => w.ledger.countByPhase().done === 2);

    assert.deepEqual(w.list("done"), ["talk (2).mp4", "talk.mp4"]);
    assert.deepEqual(readFileSync(join(w.dir, "done", "talk.mp4")), movie("first"));
    assert.equal((await w.tickets()).length, 2);
  });

  test("the same bytes under another name are an item of their own, and go up once", async (t) => {
    const w = openAgentWorld(t);
    w.drop("a.mp4", movie("same"));
    w.drop("b.mp4", movie("same"));

    w.start();
    await w.until(() => w.ledger.countByPhase().done === 2);

    assert.equal((await w.tickets()).length, 2);
    let sources = 0;
    for await (const _ of w.store.list("sources/")) sources++;
    assert.equal(sources, 1);
  });

  test("the same name and bytes are the same job; `again` makes one new run of it", async (t) => {
    const w = openAgentWorld(t);
    w.start();
    w.drop("talk.mp4", movie("same"));
    await w.until(() => w.ledger.countByPhase().done === 1);
    w.drop("talk.mp4", movie("same"));
    await w.until(() => w.ledger.countByPhase().done === 2);
    const [first, ...others] = await w.tickets();
    assert.ok(first);
    assert.equal(others.length, 0);
    const key = keysOf(first.user).item(first.job_id, first.item_id);
    const state = ItemState.parse(
      JSON.parse(Buffer.from((await w.store.get(key)).body).toString()),
    );
    await w.store.put(key, Buffer.from(JSON.stringify({ ...state, status: "complete" })));

    w.drop("talk.mp4.yaml", "again: true");
    w.drop("talk.mp4", movie("same"));
    await w.until(() => w.ledger.countByPhase().done === 3);

    const tickets = await w.tickets();
    assert.deepEqual(
      tickets.map(({ run }) => run),
      [1, 2],
    );
    assert.equal(new Set(tickets.map(({ job_id }) => job_id)).size, 1);
  });

  test("a folder is one job; its items keep their places", async (t) => {
    const w = openAgentWorld(t);
    w.drop("Council/day 1/talk.mp4");
    w.drop("Council/day 2/talk.mp4");
    w.drop("Council/notes.docx", "notes");

    w.start();
    await w.until(() => w.ledger.countByPhase().done === 1);

    const tickets = await w.tickets();
    assert.equal(new Set(tickets.map(({ job_id }) => job_id)).size, 1);
    assert.deepEqual(tickets.map(({ source }) => source.filename).toSorted(), [
      "day 1/talk.mp4",
      "day 2/talk.mp4",
    ]);
    assert.ok(existsSync(join(w.dir, "done", "Council", "notes.docx")));
    assert.deepEqual(w.list("inbox"), []);
  });

  test("a folder's options and marker lie beside it, or its marker in it", async (t) => {
    const w = openAgentWorld(t);
    w.drop("Council.yaml", "lane: urgent");
    w.drop("Council/talk.mp4");
    w.drop("Other/talk.mp4");
    w.drop("Other/unfinished.mp4.part");
    w.drop("Other/.done", "");

    w.start();
    await w.until(() => w.ledger.countByPhase().done === 2);

    assert.deepEqual(
      (await w.tickets()).map(({ lane }) => lane),
      ["batch", "urgent"],
    );
    assert.deepEqual(w.list("inbox"), []);
    assert.deepEqual(w.list("rejected"), []);
    assert.ok(existsSync(join(w.dir, "done", "Council.yaml")));
  });

  test("an item that could not be made ready has its ticket, and why it failed is noted with it", async (t) => {
    const error = { kind: "contract" as const, message: "no sound", hint: null, cause: [] };
    const w = openAgentWorld(t, {
      change: (world) => ({
        ...world,
        async handOff(work) {
          const handoff = await world.handOff(work);
          if (handoff.action !== "ticket" || !handoff.item.startsWith("bad")) return handoff;
          const [ticket] = (await w.tickets()).filter(({ item_id }) => item_id === handoff.item);
          assert.ok(ticket);
          const end = { status: "failed" as const, error, stages: {} };
          const state = endUnprepared(undefined, ticket, end, world.clock.now());
          return { ...handoff, action: "ended", state };
        },
      }),
    });
    w.drop("talks/bad.mp4");
    w.drop("talks/good.mp4");

    w.start();
    await w.until(() => w.ledger.countByPhase().done === 1);

    const [kept] = w.ledger.listAwaited();
    const items = w.ledger.get(kept?.id ?? 0)?.items ?? [];
    assert.deepEqual(
      items.map(({ item, phase, error: why }) => [item, phase, why?.message]),
      [
        ["bad", "acknowledged", "no sound"],
        ["good", "acknowledged", undefined],
      ],
    );
  });

  test("a list of which nothing can be used goes to rejected, though its items are read elsewhere", async (t) => {
    const dead = new ClipscribeError("contract", "there is no such video");
    const w = openAgentWorld(t, {
      sourcesStay: true,
      change: (world) => ({
        ...world,
        downloader: { ...world.downloader, look: () => Promise.reject(dead) },
      }),
    });
    w.drop("links.txt", "https://example.org/one\nnot a link\n");

    w.start();
    await w.until(() => w.ledger.countByPhase().rejected === 1);

    assert.deepEqual(w.list("rejected"), ["links.txt", "links.txt.reason.txt"]);
    assert.deepEqual(w.list("done"), []);
    const reason = readFileSync(join(w.dir, "rejected", "links.txt.reason.txt"), "utf8");
    assert.match(
      reason,
      /none of its 2 items can be:\n {2}https:\/\/example.org\/one: there is no/,
    );
    assert.match(reason, /\n {2}line 2: not a usable URL/);
  });

  test("what can't be used goes to rejected beside its reason", async (t) => {
    const w = openAgentWorld(t);
    w.drop("notes.docx", "words");
    w.drop("text.mp4", "this is no movie");
    w.drop("bad.mp4");
    w.drop("bad.mp4.yaml", "bugdet: 2");

    w.start();
    await w.until(() => w.ledger.countByPhase().rejected === 3);

    assert.deepEqual(w.list("rejected"), [
      "bad.mp4",
      "bad.mp4.reason.txt",
      "bad.mp4.yaml",
      "notes.docx",
      "notes.docx.reason.txt",
      "text.mp4",
      "text.mp4.reason.txt",
    ]);
    const reason = (name: string): string =>
      readFileSync(join(w.dir, "rejected", `${name}.reason.txt`), "utf8");
    assert.match(reason("bad.mp4"), /did you mean `budget`/);
    assert.match(reason("notes.docx"), /not accepted/);
    assert.match(reason("text.mp4"), /neither sound nor pictures/);
    assert.deepEqual(await w.tickets(), []);
  });

  test("names of downloads and copies, placeholders and hidden files are left alone", async (t) => {
    const w = openAgentWorld(t);
    const names = [
      "a.mp4.part",
      "b.mp4.crdownload",
      ".c.mp4.icloud",
      "~$d.mp4",
      ".DS_Store",
      ".syncthing.e.mp4.tmp",
      "f.mp4.!ut",
    ];
    for (const name of names) w.drop(name);
    w.drop("empty.mp4", "");
    w.drop("talk.mp4");

    w.start();
    await w.until(() => w.ledger.countByPhase().done === 1);
    await delay(200);

    assert.deepEqual(w.list("inbox"), [...names, "empty.mp4"].toSorted());
    assert.deepEqual(w.list("rejected"), []);
  });

  test("links are not followed, pipes not opened; each is said once, and stays", async (t) => {
    const w = openAgentWorld(t);
    symlinkSync("/etc/passwd", join(w.inbox, "link.mp4"));
    execFileSync("mkfifo", [join(w.inbox, "pipe.mp4")]);
    const outside = join(w.dir, "outside.mp4");
    writeFileSync(outside, movie("hard"));
    linkSync(outside, join(w.inbox, "hard.mp4"));

    w.start();
    await w.until(() => w.ledger.countByPhase().done === 1);
    await delay(300);

    assert.deepEqual(w.list("inbox"), ["link.mp4", "pipe.mp4"]);
    const told = w.events.flatMap((event) => (event.type === "left-alone" ? [event.name] : []));
    assert.deepEqual(told.toSorted(), ["link.mp4", "pipe.mp4"]);
    assert.deepEqual(readFileSync(outside), movie("hard"));
  });
});

describe("a drop that is still written", () => {
  test("is left alone while it grows, also when its writer pauses, and looked at without an event", async (t) => {
    const w = openAgentWorld(t);
    const whole = movie("slow", 3_000);
    w.start();
    const path = w.drop("slow.mp4", whole.subarray(0, 500));
    for (let at = 500; at < 2_500; at += 500) {
      await delay(40);
      appendFileSync(path, whole.subarray(at, at + 500));
    }
    await w.until(() => w.events.some(({ type }) => type === "waiting"));
    assert.deepEqual(await w.tickets(), []);
    appendFileSync(path, whole.subarray(2_500));

    await w.until(() => w.ledger.countByPhase().done === 1);
    assert.equal((await w.tickets())[0]?.source.sha256, sha256Of(whole));
  });

  test("preallocated to its full size, it is no ticket before its end is there", async (t) => {
    const w = openAgentWorld(t);
    const whole = movie("preallocated", 60_000);
    const path = w.drop("pre.mp4", whole.subarray(0, 20_000));
    truncateSync(path, whole.length);

    w.start();
    await w.until(() => w.events.some(({ type }) => type === "waiting"));
    writeFileSync(path, whole, { flag: "r+" });
    await w.until(() => w.ledger.countByPhase().done === 1);

    assert.deepEqual(
      (await w.tickets()).map(({ source }) => source.sha256),
      [sha256Of(whole)],
    );
  });

  test("cut off for good, it is rejected once patience ends; a marker ends it at once", async (t) => {
    const w = openAgentWorld(t);
    w.drop("cut.mp4", movie("cut", 3_000).subarray(0, 1_000));
    w.drop("marked.mp4", movie("marked", 3_000).subarray(0, 1_000));
    w.drop("marked.mp4.done", "");

    w.start();
    await w.until(() => w.ledger.countByPhase().rejected === 2);

    assert.match(
      readFileSync(join(w.dir, "rejected", "cut.mp4.reason.txt"), "utf8"),
      /bytes are missing/,
    );
    assert.ok(existsSync(join(w.dir, "rejected", "marked.mp4.done")));
  });

  test("held open by its writer, it waits through the longest pause, though it looks whole", async (t) => {
    let isOpen = true;
    const w = openAgentWorld(t, {
      change: (world) => ({ ...world, isBeingWritten: () => Promise.resolve(isOpen) }),
    });
    w.drop("sound.wav", riff(900));
    w.start();
    // Longer than patience with what is cut off.
    await delay(1_000);
    assert.deepEqual(await w.tickets(), []);
    assert.deepEqual(w.list("inbox"), ["sound.wav"]);
    isOpen = false;

    await w.until(() => w.ledger.countByPhase().done === 1);
    assert.equal(w.events.filter(({ type }) => type === "waiting").length, 1);
  });

  test("renamed to its name at the end, it is one drop", async (t) => {
    const w = openAgentWorld(t);
    w.start();
    const path = w.drop("talk.mp4.part");
    await delay(150);
    renameSync(path, join(w.inbox, "talk.mp4"));

    await w.until(() => w.ledger.countByPhase().done === 1);
    assert.equal((await w.tickets()).length, 1);
  });

  test("a folder with a copy in progress waits for it", async (t) => {
    const w = openAgentWorld(t);
    w.drop("talks/a.mp4");
    w.drop("talks/b.mp4.part");
    w.start();
    await delay(300);
    assert.deepEqual(await w.tickets(), []);

    renameSync(join(w.inbox, "talks", "b.mp4.part"), join(w.inbox, "talks", "b.mp4"));

    await w.until(() => w.ledger.countByPhase().done === 1);
    assert.equal((await w.tickets()).length, 2);
  });
});

describe("what happens meanwhile", () => {
  test("replaced while it is sent, the old bytes get no ticket and the new ones do", async (t) => {
    let sent = 0;
    const w = openAgentWorld(t, {
      change: (world) => ({
        ...world,
        async handOff(work) {
          if (sent++ === 0)
            writeFileSync(join(world.folders.inbox, "talk.mp4"), movie("new bytes"));
          return world.handOff(work);
        },
      }),
    });
    w.drop("talk.mp4", movie("old"));

    w.start();
    await w.until(() => w.ledger.countByPhase().done === 1);

    assert.deepEqual(
      (await w.tickets()).map(({ source }) => source.sha256),
      [sha256Of(movie("new bytes"))],
    );
    assert.equal(w.ledger.countByPhase().gone, 1);
    assert.deepEqual(readFileSync(join(w.dir, "done", "talk.mp4")), movie("new bytes"));
  });

  test("replaced after its ticket and before its move, both are handed off and the new one is moved", async (t) => {
    let handed = 0;
    const w = openAgentWorld(t, {
      change: (world) => ({
        ...world,
        async handOff(work) {
          const handoff = await world.handOff(work);
          if (handed++ === 0)
            writeFileSync(join(world.folders.inbox, "talk.mp4"), movie("second version"));
          return handoff;
        },
      }),
    });
    w.drop("talk.mp4", movie("first"));

    w.start();
    await w.until(() => w.ledger.countByPhase().done === 1);

    assert.equal((await w.tickets()).length, 2);
    assert.deepEqual(readFileSync(join(w.dir, "done", "talk.mp4")), movie("second version"));
    assert.deepEqual(w.list("inbox"), []);
  });

  test("taken away while it is sent, it is forgotten without a word of an error", async (t) => {
    const w = openAgentWorld(t, {
      change: (world) => ({
        ...world,
        async handOff(work) {
          rmSync(join(world.folders.inbox, "talk.mp4"), { force: true });
          return world.handOff(work);
        },
      }),
    });
    w.drop("talk.mp4");

    w.start();
    await w.until(() => w.ledger.countByPhase().gone === 1);

    assert.deepEqual(await w.tickets(), []);
    assert.deepEqual(w.list("done"), []);
  });

  test("a file that comes into a folder after its hand-off is handed off too, in the same job", async (t) => {
    let handed = 0;
    const w = openAgentWorld(t, {
      change: (world) => ({
        ...world,
        async handOff(work) {
          const handoff = await world.handOff(work);
          if (handed++ === 0)
            writeFileSync(join(world.folders.inbox, "talks", "late.mp4"), movie("late"));
          return handoff;
        },
      }),
    });
    w.drop("talks/a.mp4");

    w.start();
    await w.until(() => w.ledger.countByPhase().done === 1);

    const tickets = await w.tickets();
    assert.deepEqual(tickets.map(({ item_id }) => item_id).toSorted(), ["a", "late"]);
    assert.equal(new Set(tickets.map(({ job_id }) => job_id)).size, 1);
    assert.ok(existsSync(join(w.dir, "done", "talks", "late.mp4")));
  });

  test("the bucket is out of reach: said once, nothing is lost, and it goes on", async (t) => {
    let isDown = true;
    const w = openAgentWorld(t, {
      change: (world) => ({
        ...world,
        async handOff(work) {
          if (isDown) throw new ClipscribeError("transient", "the bucket can't be reached");
          return world.handOff(work);
        },
      }),
    });
    for (let at = 0; at < 5; at++) w.drop(`${at}.mp4`);

    w.start();
    await w.until(() => w.events.some(({ type }) => type === "trouble"));
    await delay(1_500);
    isDown = false;
    await w.until(() => w.ledger.countByPhase().done === 5);

    assert.equal(w.events.filter(({ type }) => type === "trouble").length, 1);
    assert.equal(w.events.filter(({ type }) => type === "trouble-over").length, 1);
  });

  test("done can't be written: it is said, the original stays, and it goes on by itself", async (t) => {
    let isFull = true;
    const w = openAgentWorld(t, {
      change: (world) => ({
        ...world,
        files: {
          ...world.files,
          async rename(from, to) {
            if (isFull) throw new ClipscribeError("transient", "the disk is full");
            return world.files.rename(from, to);
          },
        },
      }),
    });
    w.drop("talk.mp4");

    w.start();
    await w.until(() => w.events.some(({ type }) => type === "trouble"));
    assert.deepEqual(w.list("inbox"), ["talk.mp4"]);
    isFull = false;

    await w.until(() => w.ledger.countByPhase().done === 1);
    assert.equal((await w.tickets()).length, 1);
  });

  test("three hundred at once at the start", async (t) => {
    const w = openAgentWorld(t);
    for (let at = 0; at < 300; at++) w.drop(`talk ${at}.mp4`);

    w.start();
    await w.until(() => w.ledger.countByPhase().done === 300);

    assert.equal((await w.tickets()).length, 300);
    assert.deepEqual(w.list("inbox"), []);
  });
});

describe("a laptop", () => {
  test("that slept is noticed: everything is looked at anew, and what waited is tried at once", async (t) => {
    let aheadMs = 0;
    let isDown = true;
    const w = openAgentWorld(t, {
      change: (world) => ({
        ...world,
        clock: { ...world.clock, now: () => new Date(Date.now() + aheadMs) },
        async handOff(work) {
          if (isDown) throw new ClipscribeError("transient", "the bucket can't be reached");
          return world.handOff(work);
        },
      }),
    });
    w.drop("talk.mp4");
    w.start();
    // The waits have grown to several seconds by then.
    await w.until(() => w.events.some(({ type }) => type === "trouble"));
    await delay(2_500);
    isDown = false;
    aheadMs = 3_600_000;
    const wokenMs = performance.now();
    await w.until(() => w.ledger.countByPhase().done === 1);

    assert.ok(w.events.some((event) => event.type === "woke" && event.sleptMs > 3_500_000));
    assert.ok(performance.now() - wokenMs < 3_000);
  });

  test("whose ledger can't be written says so, and goes on once it can", async (t) => {
    let isFull = true;
    let failures = 0;
    const w = openAgentWorld(t, {
      change: (world) => ({
        ...world,
        ledger: {
          ...world.ledger,
          add(drop, items) {
            if (isFull) throw new ClipscribeError("transient", "the disk is full");
            return world.ledger.add(drop, items);
          },
          changeItem(...args) {
            if (failures++ < 2) throw new ClipscribeError("transient", "the disk is full");
            world.ledger.changeItem(...args);
          },
        },
      }),
    });
    w.drop("a.mp4");
    w.drop("b.mp4");
    w.start();
    await w.until(() => w.events.some(({ type }) => type === "trouble"));
    isFull = false;

    await w.until(() => w.ledger.countByPhase().done === 2);
    assert.equal((await w.tickets()).length, 2);
  });

  test("whose inbox goes and comes back takes what is in it then", async (t) => {
    const w = openAgentWorld(t);
    const agent = w.start();
    await agent.ready;
    rmSync(w.inbox, { recursive: true });
    await w.until(() => w.events.some(({ type }) => type === "trouble"));
    w.drop("talk.mp4");

    await w.until(() => w.ledger.countByPhase().done === 1);
    assert.ok(w.events.some(({ type }) => type === "trouble-over"));
  });

  test("a name that is no text is left alone, and said; in a folder it fails alone", async (t) => {
    const w = openAgentWorld(t);
    mkdirSync(join(w.inbox, "talks"));
    const bad = (folder: string): Buffer =>
      Buffer.concat([Buffer.from(`${folder}/bad `), Buffer.from([0xff]), Buffer.from(".mp4")]);
    writeFileSync(bad(w.inbox), movie("bad"));
    writeFileSync(bad(join(w.inbox, "talks")), movie("bad, too"));
    w.drop("talks/good.mp4");

    w.start();
    await w.until(() => w.ledger.countByPhase().done === 1);

    assert.ok(w.events.some(({ type }) => type === "left-alone"));
    const phases = w.ledger.get(1)?.items.map(({ phase }) => phase);
    assert.deepEqual(phases?.toSorted(), ["acknowledged", "failed"]);
  });
});

describe("an agent that is started again", () => {
  test("goes on with the same ids, wherever it was cut off", async (t) => {
    const w = openAgentWorld(t);
    w.drop("talk.mp4");
    const first = w.start();
    await w.until(() => w.events.some(({ type }) => type === "accepted"));
    await first[Symbol.asyncDispose]();
    const job = w.ledger.listOpen()[0]?.drop.job ?? w.ledger.get(1)?.drop.job;

    w.start();
    await w.until(() => w.ledger.countByPhase().done === 1);

    assert.deepEqual(
      (await w.tickets()).map(({ job_id }) => job_id),
      [job],
    );
  });

  test("takes up what another process spooled, leaves its files where they are, and says how far it is", async (t) => {
    const w = openAgentWorld(t);
    const path = join(w.dir, "elsewhere.mp4");
    writeFileSync(path, movie("elsewhere"));
    writeFileSync(join(w.dir, "elsewhere.en.vtt"), "WEBVTT\n\n00:00.000 --> 00:01.000\nHello.\n");
    const job = JobId.parse("20261125-1800-elsewhere-7f3a");
    w.start();

    const id = w.ledger.spool(
      {
        job,
        name: "elsewhere.mp4",
        kind: "file",
        sources: [path],
        urls: [],
        options: DropOptions.parse({ budget: 3 }),
      },
      new Date(),
    );
    await w.until(() => w.ledger.get(id)?.drop.phase === "done");

    const [ticket] = await w.tickets();
    assert.equal(ticket?.job_id, job);
    assert.deepEqual(
      ticket.artifacts.map(({ name }) => name),
      ["sidecar:elsewhere.en.vtt"],
    );
    assert.ok(existsSync(path));
    assert.equal(w.ledger.get(id)?.items[0]?.phase, "acknowledged");
  });
});

describe("a list of links", () => {
  test("is one job: each link an item by its title, a dead one fails alone, and its line is named", async (t) => {
    const w = openAgentWorld(t, {
      change: (world) => ({
        ...world,
        downloader: {
          look: async (url) =>
            Promise.resolve({ kind: "video", title: `Title of ${url.at(-1)}`, durationSeconds: 1 }),
          async fetch(url, dir) {
            if (url.endsWith("b")) throw new ClipscribeError("contract", "the video is gone");
            mkdirSync(dir, { recursive: true });
            writeFileSync(join(dir, "media.mp4"), movie(url));
            return Promise.resolve({
              path: join(dir, "media.mp4"),
              info: { ...INFO, title: `Title of ${url.at(-1)}`, url },
              sidecars: [],
            });
          },
        },
      }),
    });
    w.drop("links.txt", "https://example.org/a\n# no\nhttps://example.org/b\nfile:///etc/passwd\n");

    w.start();
    await w.until(() => w.ledger.countByPhase().done === 1);

    const tickets = await w.tickets();
    const ids = tickets.map(({ item_id }) => item_id);
    assert.deepEqual(ids.toSorted(), ["line-4", "title-of-a", "title-of-b"]);
    // What failed here has ended in its job, too: its ticket is a tail for whoever meets it.
    const job = tickets[0]?.job_id ?? JobId.parse("none");
    const keys = keysOf(AGENT_USER);
    const states = await Promise.all(
      ids.toSorted().map(async (id) => {
        const { body } = await w.store.get(keys.item(job, id));
        return ItemState.parse(JSON.parse(Buffer.from(body).toString()));
      }),
    );
    assert.deepEqual(
      states.map(({ status, error }) => [status, error?.message.slice(0, 17) ?? ""]),
      [
        ["failed", "line 4: not a usa"],
        ["queued", ""],
        ["failed", "the video is gone"],
      ],
    );
    const { body } = await w.store.get(keys.metadata(job));
    const { items } = Metadata.parse(JSON.parse(Buffer.from(body).toString()));
    assert.equal(items.length, 3);
    const [kept] = [w.ledger.get(1)];
    assert.deepEqual(
      kept?.items.map(({ phase }) => phase),
      ["acknowledged", "failed", "failed"],
    );
    assert.deepEqual(w.list("done"), ["links.txt"]);
  });

  test("with nothing that can be fetched it is rejected, and says why", async (t) => {
    const w = openAgentWorld(t);
    w.drop("links.txt", "--exec=id\nfile:///etc/passwd\n");

    w.start();
    await w.until(() => w.ledger.countByPhase().rejected === 1);

    assert.match(readFileSync(join(w.dir, "rejected", "links.txt.reason.txt"), "utf8"), /line 1/);
  });
});

function riff(bytes: number): Buffer {
  const file = Buffer.alloc(bytes, 1);
  file.write("RIFF", 0);
  file.writeUInt32LE(bytes - 8, 4);
  return file;
}

const INFO = {
  title: null,
  url: null,
  file_name: "media.mp4",
  platform: null,
  channel: null,
  published_at: null,
  view_count: null,
  description: null,
  thumbnail_url: null,
};
