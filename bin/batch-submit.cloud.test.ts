import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";

import { JobId } from "../core/ids.ts";
import { keysOf } from "../core/keys.ts";
import { Metadata, Ticket } from "../core/records.ts";
import { openBatchWorld, until } from "../samples/batch-world.ts";
import type { BatchWorld } from "../samples/batch-world.ts";
import { USER } from "../samples/submit-to.ts";

const CLI = join(import.meta.dirname, "clipscribe.ts");

interface Submitted {
  job_id: string;
  status: string;
  lid: string;
  text: string;
  items: { item_id: string; status: string; error: { message: string } | null }[];
}

function parse(stdout: string): Submitted {
  return JSON.parse(stdout.trim().split("\n").at(-1) ?? "") as Submitted;
}

async function submit(w: BatchWorld, ...args: string[]) {
  const all = ["batch", "submit", "--pipeline", w.pipeline, "--json", ...args];
  const { code, stdout, stderr } = await w.cloud.clipscribe(...all);
  return { code, stderr, stdout, end: parse(stdout || "{}") };
}

async function tickets(w: BatchWorld): Promise<Ticket[]> {
  const found: Ticket[] = [];
  for await (const { key } of w.cloud.store.list("inbox/")) {
    const { body } = await w.cloud.store.get(key);
    found.push(Ticket.parse(JSON.parse(Buffer.from(body).toString())));
  }
  return found;
}

async function metadata(w: BatchWorld, job: string): Promise<Metadata> {
  const { body } = await w.cloud.store.get(keysOf(USER).metadata(JobId.parse(job)));
  return Metadata.parse(JSON.parse(Buffer.from(body).toString()));
}

/** A runner that calls its machine by another name: the test's own would not stay awake either. */
function startServer(t: TestContext, w: BatchWorld): ChildProcess {
  const named = ["--unshare-user", "--unshare-uts", "--hostname", "server", "--dev-bind", "/", "/"];
  const runner = [process.execPath, CLI, "runner", "--pipeline", w.pipeline, "--json"];
  const env = { ...w.cloud.env, CLIPSCRIBE_HOME: join(w.cloud.dir, "server") };
  const child = spawn("bwrap", [...named, ...runner], { env, stdio: ["ignore", "ignore", "pipe"] });
  t.after(() => child.kill("SIGKILL"));
  return child;
}

async function untilReady(child: ChildProcess): Promise<void> {
  let said = "";
  child.stderr?.on("data", (chunk: Buffer) => (said += chunk.toString()));
  await until(() => Promise.resolve(said.includes('"ready"') ? true : undefined), `ready: ${said}`);
}

const hasNamespaces =
  spawnSync("bwrap", [
    "--unshare-user",
    "--unshare-uts",
    "--hostname",
    "x",
    "--dev-bind",
    "/",
    "/",
    "true",
  ]).status === 0;

describe("batch submit, to a bucket", () => {
  test(
    "safe to close the lid: every ticket is durable and a runner elsewhere was alive a moment ago",
    { skip: !hasNamespaces },
    async (t) => {
      const w = await openBatchWorld(t, { ms: 20_000 });
      await untilReady(startServer(t, w));

      const { code, end, stderr } = await submit(w, "--vps", ...w.media("one", "two"));

      assert.equal(code, 0, stderr);
      assert.deepEqual(
        [end.status, end.lid, end.text],
        ["handed-off", "safe", "safe to close the lid"],
      );
      const { items, lane } = await metadata(w, end.job_id);
      assert.deepEqual([items.length, lane], [2, "batch"]);
      for (const { item_id: item } of end.items) {
        const state = await w.cloud.readItem(end.job_id, item);
        assert.ok(
          ["queued", "processing"].includes(state?.status ?? ""),
          `${item} ${state?.status}`,
        );
      }
    },
  );

  test("no runner was seen: handed off, and it says that nothing runs until one starts", async (t) => {
    const w = await openBatchWorld(t);
    const files = w.media("one");
    // One on this machine sleeps with its lid.
    w.cloud.startRunner("here");
    await until(async () => {
      for await (const { key } of w.cloud.store.list("sys/runners/")) return key;
      return undefined;
    }, "a runner");

    const never = await submit(w, ...files);
    const seenAt = new Date(Date.now() - 20 * 60_000);
    rememberServer(join(w.cloud.dir, "laptop"), seenAt);
    const since = await submit(w, ...w.media("two"));

    assert.deepEqual([never.code, never.end.lid], [0, "no-server"]);
    assert.match(never.end.text, /^handed off; no server has been seen yet: nothing runs until/);
    const time = `${seenAt.getHours()}`.padStart(2, "0");
    assert.match(
      since.end.text,
      new RegExp(`no server has been seen since .*${time}:\\d\\d: nothing runs`),
    );
  });

  test("killed at any moment and run again, it is the same job with the same items, nothing twice", async (t) => {
    const w = await openBatchWorld(t);
    const names = Array.from({ length: 12 }, (_, at) => `talk-${at}`);
    const files = w.media(...names);
    const jobs = new Set<string>();
    const env = { ...w.cloud.env, CLIPSCRIBE_HOME: join(w.cloud.dir, "laptop") };
    await w.cloud.setFaults({ seed: 1, s3: { stall_ms: 60 } });
    for (let cut = 0; cut < 4; cut++) {
      const args = [CLI, "batch", "submit", "--pipeline", w.pipeline, "--json", ...files];
      const child = spawn(process.execPath, args, { env, stdio: ["ignore", "pipe", "ignore"] });
      let said = "";
      child.stdout.on("data", (chunk: Buffer) => (said += chunk.toString()));
      const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
      // The first cut before anything is sent, the others after some tickets.
      await until(async () => {
        if (child.exitCode !== null) return true;
        const isFar =
          cut === 0
            ? said.includes('"job ') || said.includes("goes on")
            : (await tickets(w)).length >= cut * 3;
        return isFar ? true : undefined;
      }, "a moment to kill it at");
      child.kill("SIGKILL");
      await ended;
      for (const match of said.matchAll(/job (\d{8}-[a-z0-9-]+)/g)) jobs.add(match[1] ?? "");
    }
    await w.cloud.setFaults({ seed: 1 });

    const { code, end, stderr } = await submit(w, ...files);
    const again = await submit(w, ...files);
    const anew = await submit(w, "--again", ...files);

    assert.equal(code, 0, stderr);
    jobs.add(end.job_id);
    assert.equal(jobs.size, 1, [...jobs].join(" "));
    const all = (await tickets(w)).filter(({ job_id }) => job_id === end.job_id);
    assert.deepEqual(
      all.map(({ item_id, run }) => `${item_id}.${run}`).toSorted(),
      names.map((name) => `${name}.1`).toSorted(),
    );
    let sources = 0;
    for await (const { key } of w.cloud.store.list("sources/")) sources += key === "" ? 0 : 1;
    assert.equal(sources, 12);
    assert.deepEqual([again.code, again.end.job_id], [0, end.job_id]);
    assert.notEqual(anew.end.job_id, end.job_id);
  });

  test("where the agent runs, it does the work, and the command tells how far it is", async (t) => {
    const w = await openBatchWorld(t);
    const env = { ...w.cloud.env, CLIPSCRIBE_HOME: join(w.cloud.dir, "laptop") };
    const up = spawn(process.execPath, [CLI, "up", "--pipeline", w.pipeline, "--json"], {
      env,
      stdio: ["ignore", "pipe", "inherit"],
    });
    t.after(() => up.kill("SIGKILL"));
    let said = "";
    up.stdout.on("data", (chunk: Buffer) => (said += chunk.toString()));
    const lock = join(w.cloud.dir, "laptop", ".clipscribe-lock.json");
    await until(() => Promise.resolve(existsSync(lock) || undefined), "the agent");

    const { code, end, stdout, stderr } = await submit(
      w,
      "--urgent",
      "--notify",
      "me@example.org",
      "--budget",
      "3",
      ...w.media("one", "two"),
    );

    assert.equal(code, 0, stderr);
    assert.match(stdout, /`clipscribe up` \(process \d+\) does it/);
    assert.match(said, new RegExp(`"item-handed-off".*${end.job_id}`));
    const { lane, notify, control } = await metadata(w, end.job_id);
    assert.deepEqual([lane, notify.email], ["urgent", "me@example.org"]);
    assert.deepEqual([control.budget_usd, control.approved_usd], [3, 3]);
  });

  test("a bucket that is out of reach, or refuses the key, is said before anything is begun", async (t) => {
    const w = await openBatchWorld(t);
    const [file = ""] = w.media("one");
    const env = {
      ...w.cloud.env,
      R2_SECRET_ACCESS_KEY: "wrong",
      CLIPSCRIBE_HOME: join(w.cloud.dir, "laptop"),
    };

    const args = [CLI, "batch", "submit", "--pipeline", w.pipeline, file];
    const child = spawn(process.execPath, args, { env });
    const wrong = { stdout: "", stderr: "" };
    child.stdout.on("data", (chunk: Buffer) => (wrong.stdout += chunk.toString()));
    child.stderr.on("data", (chunk: Buffer) => (wrong.stderr += chunk.toString()));
    const status = await new Promise((resolve) => child.once("close", resolve));

    assert.equal(status, 8);
    assert.match(wrong.stderr, /R2_SECRET_ACCESS_KEY/);
    assert.doesNotMatch(wrong.stdout, /job 2/);
    rmSync(file);
    const gone = await submit(w, file);
    assert.equal(gone.code, 3);
    assert.ok(readFileSync(w.pipeline, "utf8").includes("listen"));
  });
});

/** As `clipscribe up` notes that it saw one. */
function rememberServer(home: string, at: Date): void {
  const script = `
    import { openDropLedger } from ${JSON.stringify(join(import.meta.dirname, "../adapters/ledger/drop-ledger.ts"))};
    using ledger = openDropLedger(${JSON.stringify(join(home, "ledger.db"))});
    ledger.writeFact("server_seen_at", ${JSON.stringify(at.toISOString())});`;
  const file = join(home, "remember.mts");
  writeFileSync(file, script);
  const { status, stderr } = spawnSync(process.execPath, [file], { encoding: "utf8" });
  assert.equal(status, 0, stderr);
}
