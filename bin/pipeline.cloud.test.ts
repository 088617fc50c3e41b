import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";

import { sha256Of } from "../core/digest.ts";
import { parseObjectKey } from "../core/keys.ts";
import { Manifest } from "../core/records.ts";
import { allEnded, audit, ended, listenTo, openSmallCloud, until } from "../samples/small-cloud.ts";
import type { SmallCloud } from "../samples/small-cloud.ts";

interface Answer {
  digest: string;
  in_force: boolean;
  changes: string[];
  history: { digest: string; action: string }[];
}

async function pipeline(world: SmallCloud, verb: string, ...more: string[]): Promise<Answer> {
  const end = await world.cloud.clipscribe("pipeline", verb, "--json", ...more);
  assert.equal(end.code, 0, end.stdout + end.stderr);
  return JSON.parse(end.stdout) as Answer;
}

function setMs(world: SmallCloud, ms: number): void {
  const text = readFileSync(world.pipeline, "utf8");
  writeFileSync(world.pipeline, text.replace(/ms: \d+/, `ms: ${ms}`));
}

async function readManifest({ cloud }: SmallCloud, job: string, item: string): Promise<Manifest> {
  const key = parseObjectKey(`results/me/${job}/${item}/manifest.json`);
  const { body } = await until(
    async () => cloud.store.get(key).catch(() => undefined),
    `${item}'s manifest`,
  );
  return Manifest.parse(JSON.parse(Buffer.from(body).toString("utf8")));
}

/** A stage that makes one text of another. */
const STEP = (from: string, to: string): string => `
import { z } from "zod";
import { defineStage, file } from "../core/stage.ts";
const text = (fileName: string) => file({ mediaType: "text/plain", fileName });
export default defineStage({
  input: { ${from}: text("${from}.txt") },
  output: { ${to}: text("${to}.txt") },
  params: z.strictObject({}),
  async run({ input, ctx }) {
    return { ${to}: await ctx.write("${to}.txt", "heard: " + (await ctx.readText(input.${from}))) };
  },
});
`;

describe("pipelines as versions", () => {
  test("a push holds on a running runner within a poll; what was dropped before keeps its own", async (t) => {
    const world = await openSmallCloud(t, { ms: 100 });
    const { cloud, media } = world;
    const first = await pipeline(world, "push", world.pipeline);
    const runner = cloud.startRunner("server", { pushed: true });
    const said = listenTo(runner);
    await until(async () => (said().includes('"ready"') ? true : undefined), "the runner's start");

    setMs(world, 120);
    const checked = await pipeline(world, "check", world.pipeline);
    const second = await pipeline(world, "push", world.pipeline);
    const pushedAt = Date.now();
    await until(async () => (said().includes(second.digest) ? true : undefined), "the new one");
    const tookMs = Date.now() - pushedAt;

    assert.deepEqual([checked.in_force, checked.digest], [false, second.digest]);
    assert.deepEqual(second.changes, ["only: ms changed 100 → 120"]);
    // Its poll is half a second here; the look itself and the log take their time on a busy machine.
    assert.ok(tookMs < 5_000, `${tookMs} ms`);
    const job = "20261125-1000-versions-7f3a";
    await cloud.submit(job, "batch", first.digest, media(["a"]));
    const later = "20261125-1001-versions-7f3a";
    await cloud.submit(later, "batch", second.digest, media(["b"]));
    await until(allEnded(cloud, job, ["a"]), "the first job's end");
    await until(allEnded(cloud, later, ["b"]), "the second job's end");
    assert.equal((await readManifest(world, job, "a")).pipeline.digest, first.digest);
    assert.equal((await readManifest(world, later, "b")).pipeline.digest, second.digest);

    const back = await pipeline(world, "rollback");
    const list = await pipeline(world, "list");

    assert.equal(back.digest, first.digest);
    assert.deepEqual(
      list.history.map(({ action, digest }) => [action, digest]),
      [
        ["rollback", first.digest],
        ["push", second.digest],
        ["push", first.digest],
      ],
    );
  });

  test("what is broken, or only commented, changes nothing", async (t) => {
    const world = await openSmallCloud(t);
    const first = await pipeline(world, "push", world.pipeline);

    appendFileSync(world.pipeline, "# a comment\n");
    appendFileSync(join(world.dir, "stages", "only.ts"), "\n// a comment\n");
    const again = await pipeline(world, "push", world.pipeline);
    writeFileSync(join(world.dir, "stages", "only.ts"), "export default {");
    const broken = await world.cloud.clipscribe("pipeline", "push", world.pipeline);
    const list = await pipeline(world, "list");

    assert.deepEqual([again.digest, again.in_force, again.changes], [first.digest, true, []]);
    assert.equal(broken.code, 2);
    assert.match(broken.stderr, /pipeline\.yaml:5:\d+ .*the stage does not compile/s);
    assert.equal(list.history.length, 1);
  });

  test("an ending that bare drops may have from now on: the push says what else to do, and audit counts it", async (t) => {
    const world = await openSmallCloud(t);
    const { cloud } = world;
    await pipeline(world, "push", world.pipeline);
    const text = readFileSync(world.pipeline, "utf8");
    writeFileSync(world.pipeline, text.replace("[mp4]", "[mp4, x9]"));
    await cloud.store.put(parseObjectKey("drops/me/talk.x9"), Buffer.from("a talk"));

    const before = await audit(cloud);
    const pushed = await cloud.clipscribe("pipeline", "push", world.pipeline);
    const after = await audit(cloud);

    assert.match(pushed.stdout, /clipscribe cloud apply.*\.x9$/m);
    assert.equal(before.counts["waiting in drops/"], undefined);
    assert.equal(after.counts["waiting in drops/"], 1);
  });

  test("a push that changes one stage's code has a replay run that stage and what comes after it", async (t) => {
    const world = await openSmallCloud(t, { ms: 10 });
    const { cloud, dir, media } = world;
    const two = join(dir, "stages", "two.ts");
    writeFileSync(two, STEP("out", "second"));
    writeFileSync(join(dir, "stages", "three.ts"), STEP("second", "third"));
    const text = readFileSync(world.pipeline, "utf8");
    const more = ["two", "three"].map((id) => `  - id: ${id}\n    uses: stages/${id}.ts\n`);
    writeFileSync(world.pipeline, text.replace("publish:", `${more.join("")}publish:`));
    const first = await pipeline(world, "push", world.pipeline);
    cloud.startRunner("server", { pushed: true });
    const job = "20261125-1000-changed-7f3a";
    await cloud.submit(job, "batch", first.digest, media(["a"]));
    await until(allEnded(cloud, job, ["a"]), "the item's end");

    writeFileSync(two, readFileSync(two, "utf8").replace("heard: ", "heard again: "));
    const second = await pipeline(world, "push", world.pipeline);
    const replay = await cloud.clipscribe("replay", `${job}/a`);
    assert.equal(replay.code, 0, replay.stderr);
    const state = await until(async () => {
      const now = await cloud.readItem(job, "a");
      return now?.run === 2 && now.status === "complete" ? now : undefined;
    }, "the replay's end");

    assert.equal(state.pipeline_digest, second.digest);
    const why = Object.fromEntries(
      Object.entries(state.stages).map(([id, each]) => [id, each.why]),
    );
    assert.equal(state.stages["only"]?.state, "reused");
    assert.equal(why["two"], "code changed");
    assert.match(why["three"] ?? "", /input second changed/);
  });

  test("with a public key set, a runner takes only what its key signed", async (t) => {
    const world = await openSmallCloud(t);
    const { cloud, dir } = world;
    const key = join(dir, "pipeline.key");
    const publicKey = join(dir, "pipeline.pub");
    execFileSync("openssl", ["genpkey", "-algorithm", "ed25519", "-out", key]);
    execFileSync("openssl", ["pkey", "-in", key, "-pubout", "-out", publicKey]);
    await pipeline(world, "push", world.pipeline);
    const env = { CLIPSCRIBE_PIPELINE_PUBLIC_KEY: publicKey };

    const wary = cloud.startRunner("wary", { pushed: true, env });
    const said = listenTo(wary);
    assert.equal(await ended(wary), 8);
    assert.match(said(), /the pushed pipeline has no signature/);

    cloud.env["CLIPSCRIBE_PIPELINE_SIGNING_KEY"] = key;
    const signed = await pipeline(world, "push", world.pipeline);
    const trusting = cloud.startRunner("trusting", { pushed: true, env });
    const saidThen = listenTo(trusting);
    await until(
      async () => (saidThen().includes(signed.digest) ? true : undefined),
      "a runner that trusts the key",
    );
  });

  test("credentials that only read pipelines push none, and the message says which do", async (t) => {
    const world = await openSmallCloud(t);
    const { cloud, dir } = world;
    const command = async (...more: string[]): Promise<string> => {
      const args = ["cloud", "credentials", "--user", "me", "--json", ...more];
      const file = join(dir, `print${more.length}.mjs`);
      const { stdout } = await cloud.clipscribe(...args);
      writeFileSync(file, `console.log(${JSON.stringify(stdout)})`);
      return `${process.execPath} ${file}`;
    };
    const [reading, pushing] = [await command(), await command("--may-push")];
    for (const name of ["R2_ACCESS_KEY_ID", "R2_SECRET_ACCESS_KEY"]) cloud.env[name] = "";

    cloud.env["CLIPSCRIBE_CREDENTIALS_COMMAND"] = reading;
    const refused = await cloud.clipscribe("pipeline", "push", world.pipeline);
    cloud.env["CLIPSCRIBE_CREDENTIALS_COMMAND"] = pushing;
    const list = await pipeline(world, "list");
    await pipeline(world, "push", world.pipeline);

    assert.equal(refused.code, 8);
    assert.match(refused.stderr, /these credentials may not push pipelines\n.*--may-push/);
    assert.deepEqual(list.history, []);
  });

  test("a pointer to what is gone is said, and what held goes on; another push mends it", async (t) => {
    const world = await openSmallCloud(t, { ms: 50 });
    const { cloud, media } = world;
    const first = await pipeline(world, "push", world.pipeline);
    const runner = cloud.startRunner("server", { pushed: true });
    const said = listenTo(runner);
    await until(async () => (said().includes('"ready"') ? true : undefined), "the runner's start");

    setMs(world, 60);
    const key = parseObjectKey("pipelines/current.json");
    const { body, etag } = await cloud.store.get(key);
    const pointer = JSON.parse(Buffer.from(body).toString()) as { digest: string };
    const gone = { ...pointer, digest: sha256Of("gone") };
    await cloud.store.put(key, Buffer.from(JSON.stringify(gone)), { ifMatch: etag });
    await until(
      async () => (said().includes("is gone from the bucket") ? true : undefined),
      "a word about it",
    );
    const job = "20261125-1000-gone-7f3a";
    await cloud.submit(job, "batch", first.digest, media(["a"]));
    const [state] = await until(allEnded(cloud, job, ["a"]), "the item's end");
    const mended = await pipeline(world, "push", world.pipeline);
    await until(async () => (said().includes(mended.digest) ? true : undefined), "the new one");

    assert.equal(state?.status, "complete");
    assert.equal(said().split("is gone from the bucket").length, 2);
  });

  test("eight pushes amid the work: each item's manifest names one, and its code is in the bucket", async (t) => {
    const world = await openSmallCloud(t, { ms: 20 });
    const { cloud, media } = world;
    await pipeline(world, "push", world.pipeline);
    for (const name of ["one", "two"]) cloud.startRunner(name, { pushed: true });
    const digests: string[] = [];
    const jobs: string[] = [];

    for (let round = 0; round < 8; round++) {
      setMs(world, 20 + round);
      const { digest } = await pipeline(world, "push", world.pipeline);
      digests.push(digest);
      const job = `20261125-10${String(round).padStart(2, "0")}-pushes-7f3a`;
      jobs.push(job);
      // One by the pipeline in force, one by the one before it.
      const before = digests.at(-2) ?? digest;
      await cloud.submit(job, "batch", round % 2 === 0 ? digest : before, media(["a", "b"]));
    }
    for (const job of jobs) await until(allEnded(cloud, job, ["a", "b"]), `${job}'s end`, 60);

    for (const [round, job] of jobs.entries()) {
      for (const item of ["a", "b"]) {
        const manifest = await readManifest(world, job, item);
        const expected = round % 2 === 0 ? digests[round] : digests[round - 1];
        assert.equal(manifest.pipeline.digest, expected);
        for (const stage of manifest.stages) {
          const file = `pipelines/${manifest.pipeline.digest}/${stage.code_digest}.mjs`;
          const { body: code } = await cloud.store.get(parseObjectKey(file));
          assert.equal(sha256Of(code), stage.code_digest);
        }
      }
    }
  });
});

describe("pipeline verbs without a bucket", () => {
  test("say that the file itself holds, and how to set a bucket up", async (t) => {
    const world = await openSmallCloud(t);
    world.cloud.env["CLIPSCRIBE_STORE"] = `disk:${join(world.dir, "store")}`;
    world.cloud.env["CLIPSCRIBE_QUEUE"] = `sqlite:${join(world.dir, "queue.db")}`;

    const { code, stderr } = await world.cloud.clipscribe("pipeline", "push");

    assert.equal(code, 2);
    assert.match(stderr, /pipelines are pushed to a bucket.*clipscribe init/s);
  });
});
