import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";

import { RunnerId } from "../core/ids.ts";
import { parseObjectKey, systemKeys } from "../core/keys.ts";
import type { ObjectStore } from "../ports/object-store.ts";
import { movie } from "../samples/agent-world.ts";
import { PORTALS, openPortal } from "../samples/portal.ts";
import { openSmallCloud, until } from "../samples/small-cloud.ts";

const ENTRY = join(import.meta.dirname, "clipscribe.ts");

async function laptop(t: TestContext) {
  const { cloud, pipeline } = await openSmallCloud(t);
  const home = join(cloud.dir, "desk");
  const inbox = join(home, "inbox");
  mkdirSync(inbox, { recursive: true });
  const children: (() => Promise<void>)[] = [];
  t.after(async () => {
    for (const end of children) await end();
  });
  return {
    cloud,
    home,
    drop: (name: string) => writeFileSync(join(inbox, name), movie(name, 5_000)),
    beat: async (agoMs: number) => {
      const runner = RunnerId.parse("server-17-0a1b2c3d");
      const record = { schema: 1, runner, status: "alive", beat: 1, items: [], host: "remote" };
      const body = { ...record, process: null, started_at: new Date().toISOString() };
      await cloud.store.put(systemKeys.runner(runner), Buffer.from(JSON.stringify(body)));
      await delay(agoMs);
    },
    up(more: Record<string, string> = {}) {
      const child = spawn(process.execPath, [ENTRY, "up", "--plain", "--pipeline", pipeline], {
        cwd: cloud.dir,
        env: { ...cloud.env, CLIPSCRIBE_HOME: home, CLIPSCRIBE_SETTLE_MS: "100", ...more },
        stdio: ["ignore", "pipe", "pipe"],
      });
      let out = "";
      child.stdout.on("data", (chunk: Buffer) => (out += chunk.toString()));
      child.stderr.on("data", (chunk: Buffer) => (out += chunk.toString()));
      const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
      const end = async (): Promise<void> => {
        child.kill("SIGKILL");
        await ended;
      };
      children.push(end);
      return {
        end,
        async says(text: string) {
          for (let tries = 0; tries < 1_500 && !out.includes(text); tries++) await delay(20);
          assert.ok(out.includes(text), `it never said ${text}:\n${out}`);
          return out;
        },
      };
    },
  };
}

describe("clipscribe up with a cloud", () => {
  test("handed off to a server that lives, the lid may be closed; nothing of it is here but the original", async (t) => {
    const desk = await laptop(t);
    await desk.beat(0);
    desk.drop("talk.mp4");

    const up = desk.up();
    await up.says("safe to close the lid");

    assert.deepEqual(readdirSync(join(desk.home, "done")), ["talk.mp4"]);
    assert.ok(!existsSync(join(desk.home, "store")));
    const tickets: string[] = [];
    for await (const { key } of desk.cloud.store.list("inbox/")) tickets.push(key);
    assert.equal(tickets.length, 1);
  });

  test("with no server to be seen it says so, and never that it is safe", async (t) => {
    const desk = await laptop(t);
    desk.drop("talk.mp4");

    const up = desk.up();
    const said = await up.says(
      "handed off; no server has been seen yet: nothing runs until one starts",
    );

    assert.ok(!said.includes("safe to close"));
  });

  test("the bucket can't be reached: said once, the original stays, and it goes on by itself", async (t) => {
    const desk = await laptop(t);
    await desk.cloud.setFaults({ s3: { reset: 1 } });
    desk.drop("talk.mp4");

    const up = desk.up();
    await up.says("handing off waits");
    assert.deepEqual(
      readdirSync(join(desk.home, "inbox")).filter((name) => !name.startsWith(".")),
      ["talk.mp4"],
    );
    await desk.cloud.setFaults({});
    const said = await up.says("talk.mp4: handed off");

    assert.equal(said.split("handing off waits").length, 2);
  });
});

describe("another computer of the same person", () => {
  test("leaves a job to the one that handed it off, by whatever name that goes by now", async (t) => {
    const desk = await laptop(t);
    const { store } = desk.cloud;
    const first = desk.up();
    desk.drop("talk.mp4");
    await first.says("talk.mp4: handed off");
    await first.end();
    const key = (await keysIn(store)).find((name) => name.endsWith("/metadata.json"));
    assert.ok(key !== undefined);
    const { body } = await store.get(parseObjectKey(key));
    const metadata = JSON.parse(Buffer.from(body).toString("utf8")) as object;
    const renamed = JSON.stringify({ ...metadata, device: "as it was called in the office" });
    await store.put(parseObjectKey(key), Buffer.from(renamed));
    desk.cloud.startRunner("server");
    await until(async () => (await keysIn(store)).find(isManifest), "the result in the bucket");
    const elsewhere = join(desk.cloud.dir, "elsewhere");

    const other = desk.up({ CLIPSCRIBE_HOME: elsewhere });
    await other.says("nothing is under way");
    desk.up();
    await until(
      async () => namesIn(join(desk.home, "results")).find((name) => name.endsWith("out.txt")),
      "the result where it was dropped",
    );

    assert.deepEqual(namesIn(join(elsewhere, "results")), []);
  });
});

// Each waits some ten seconds for one that tries again ever more seldom.
describe("a network that wants a person to sign in", { concurrency: true }, () => {
  for (const kind of Object.keys(PORTALS) as (keyof typeof PORTALS)[]) {
    test(`answers everything with ${kind}, and is waited out, there and back`, async (t) => {
      const desk = await laptop(t);
      const { store, emulator } = desk.cloud;
      await using network = await openPortal(emulator.address.s3_endpoint);
      const up = desk.up({ R2_ENDPOINT: network.url });
      await up.says("nothing is under way");
      network.signOut(kind);

      desk.drop("talk.mp4");
      await up.says("handing off waits");
      assert.ok(network.answered > 0);
      assert.ok(existsSync(join(desk.home, "inbox", "talk.mp4")));
      assert.deepEqual(await keysIn(store), [], "nothing counts as sent");
      network.signIn();
      await up.says("talk.mp4: handed off");

      network.signOut(kind);
      desk.cloud.startRunner("server");
      await up.says("results wait");
      await until(async () => (await keysIn(store)).find(isManifest), "the result in the bucket");
      const results = join(desk.home, "results");
      assert.deepEqual(
        namesIn(results),
        [],
        "nothing half fetched, no page in the place of a result",
      );
      network.signIn();
      const found = await until(
        async () => namesIn(results).find((name) => name.endsWith("out.txt")),
        "the result here",
      );

      const text = readFileSync(join(results, found), "utf8");
      assert.ok(text.startsWith("heard: ") && text.includes("talk.mp4"), text.slice(0, 200));
    });
  }
});

const isManifest = (key: string): boolean => /^results\/.*\/manifest\.json$/.test(key);

function namesIn(folder: string): string[] {
  return existsSync(folder) ? readdirSync(folder, { recursive: true }).map(String) : [];
}

async function keysIn(store: ObjectStore): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list("")) keys.push(key);
  return keys;
}
