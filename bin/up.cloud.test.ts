import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";

import { RunnerId } from "../core/ids.ts";
import { systemKeys } from "../core/keys.ts";
import { movie } from "../samples/agent-world.ts";
import { openSmallCloud } from "../samples/small-cloud.ts";

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
    up() {
      const child = spawn(process.execPath, [ENTRY, "up", "--plain", "--pipeline", pipeline], {
        cwd: cloud.dir,
        env: { ...cloud.env, CLIPSCRIBE_HOME: home, CLIPSCRIBE_SETTLE_MS: "100" },
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
