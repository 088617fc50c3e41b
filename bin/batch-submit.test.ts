import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";

import { until } from "../samples/batch-world.ts";
import { chatReply, heardReply, openTestWorld } from "../samples/test-world.ts";

const CLI = join(import.meta.dirname, "clipscribe.ts");

/** A home on this machine, and providers that hear and find what they are told to. */
async function world(t: TestContext, listening: Promise<void> = Promise.resolve()) {
  const w = await openTestWorld(t, async ({ path }) => {
    if (!path.includes("transcriptions")) return chatReply(NOTHING);
    await listening;
    return heardReply(["We will vote on the harbour tonight."]);
  });
  return { ...w, home: join(w.dir, "home") };
}

const NOTHING = { entities: [], relationships: [], topics: [], key_moments: [], summary: null };

describe("batch submit, on one machine", () => {
  test("without a cloud --vps ends with 2 and the one command that sets it up, and nothing is begun", async (t) => {
    const { clipscribe, tone, home } = await world(t);

    const { code, stderr, stdout } = await clipscribe(["batch", "submit", "--vps", tone()]);

    assert.deepEqual([code, stdout], [2, ""]);
    assert.match(stderr, /there is no cloud.*\n.*clipscribe init --cloud/);
    assert.equal(existsSync(join(home, "ledger.db")), false);
  });

  test("price and time come first; over the budget it stops there, with 6", async (t) => {
    const { clipscribe, tone, asked } = await world(t);
    const file = tone();

    const over = await clipscribe(["batch", "submit", "--budget", "0.0001", file]);
    const json = await clipscribe(["batch", "submit", "--budget", "0.0001", "--json", file]);
    const within = await clipscribe(["batch", "submit", "--budget", "2", file]);

    assert.equal(over.code, 6, over.stderr);
    assert.match(
      over.stdout,
      /^1 item, 6 s of sound: at most \$0\.00\d\d, about a minute of work\n/,
    );
    assert.match(
      over.stderr,
      /it may cost \$0\.0\d+, and your budget is \$0\.0001\n.*--budget USD; nothing was begun/,
    );
    assert.equal(json.code, 6);
    assert.equal((json.end as unknown as { error: { kind: string } }).error.kind, "budget");
    assert.equal(within.code, 0, within.stderr);
    assert.match(within.stdout, /job 2\d{7}-\d{4}-talk-[0-9a-f]{4}\n/);
    assert.equal(asked("transcriptions"), 0);
  });

  test("with no agent it says what to start; with one, to keep the lid open and for how long", async (t) => {
    // Whoever hears takes long enough for the work to be under way when it is looked at.
    const { promise: listening, resolve: hear } = Promise.withResolvers<void>();
    const { clipscribe, tone, dir, home, server } = await world(t, listening);
    const alone = await clipscribe(["batch", "submit", tone("one.m4a", 300)]);
    const up = spawn(process.execPath, [CLI, "up", "--json"], {
      cwd: dir,
      env: {
        PATH: process.env["PATH"],
        HOME: dir,
        CLIPSCRIBE_HOME: home,
        MISTRAL_API_KEY: "m",
        MISTRAL_BASE_URL: server.url,
      },
      stdio: "ignore",
    });
    t.after(() => up.kill("SIGKILL"));
    const lock = join(home, ".clipscribe-lock.json");
    await until(() => {
      const holder = existsSync(lock) ? readFileSync(lock, "utf8") : "";
      return Promise.resolve(holder.includes('"up"') || undefined);
    }, "the agent");
    const files = [2, 3, 4, 5, 6, 7].map((at) => tone(`talk-${at}.m4a`, at * 100));

    const kept = await clipscribe(["batch", "submit", "--json", ...files]);
    up.kill("SIGKILL");
    hear();

    assert.equal(alone.code, 0, alone.stderr);
    assert.match(
      alone.stdout,
      /1 item waits, and nothing on this computer works on them: start it with `clipscribe up`/,
    );
    const { lid, text } = kept.end as unknown as { lid: string; text: string };
    assert.deepEqual([kept.code, lid], [0, "keep-open"], kept.stderr);
    assert.match(text, /^keep the lid open: \d items?, about \d+ min$/);
  });

  test("a list tells its bad lines by number; a name that is not there, what was probably meant", async (t) => {
    const { clipscribe, dir } = await world(t);
    mkdirSync(join(dir, "talks"));
    writeFileSync(join(dir, "talks", "Council Meeting.mp4"), "x");
    writeFileSync(join(dir, "bad.txt"), "# links\n--exec=id\nfile:///etc/passwd\n");
    writeFileSync(join(dir, "long.txt"), "https://example.org/x\n".repeat(10_001));

    const bad = await clipscribe(["batch", "submit", "bad.txt"]);
    const long = await clipscribe(["batch", "submit", "long.txt"]);
    const slip = await clipscribe(["batch", "submit", "talks/council"]);
    const link = await clipscribe(["batch", "submit", "www.example.org/talk"]);
    const none = await clipscribe(["batch", "submit"]);
    const mail = await clipscribe(["batch", "submit", "--notify", "me", "bad.txt"]);

    assert.deepEqual([bad.code, long.code, slip.code, link.code], [3, 3, 3, 3]);
    assert.match(bad.stderr, /line 2: .*--exec=id/);
    assert.match(long.stderr, /too many lines limit=10000/);
    assert.match(slip.stderr, /did you mean .*Council Meeting\.mp4\?/);
    assert.match(link.stderr, /did you mean https:\/\/www\.example\.org\/talk\?/);
    assert.deepEqual([none.code, mail.code], [2, 2]);
    assert.match(mail.stderr, /--notify.*give one address/);
  });
});
