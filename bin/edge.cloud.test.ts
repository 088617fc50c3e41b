import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";

import { parseObjectKey } from "../core/keys.ts";
import { Manifest, Ticket } from "../core/records.ts";
import type { ItemState } from "../core/records.ts";
import { openCloudWorld } from "../samples/cloud-world.ts";
import type { LaptopRequest } from "../samples/laptop-child.ts";
import { loadPipeline } from "./load-pipeline.ts";

/** Reads the medium, and notes where it ran: once a file, whoever asks how often. */
const EDGE = `
import { appendFileSync } from "node:fs";
import { z } from "zod";
import { ClipscribeError } from "../core/errors.ts";
import { defineStage, file, json } from "../core/stage.ts";
export default defineStage({
  input: { source: file({ mediaType: "*/*" }), item: json(z.object({ file_name: z.string() })) },
  output: {
    speech: file({ mediaType: "audio/ogg", fileName: "speech.ogg" }),
    length: json(z.object({ chars: z.number() })),
  },
  params: z.strictObject({ trace: z.string(), rate: z.number().default(1) }),
  async run({ input, params, ctx }) {
    const text = await ctx.readText(input.source);
    appendFileSync(params.trace, "edge " + input.item.file_name + "\\n");
    if (text.startsWith("bad")) throw new ClipscribeError("contract", "this medium is bad");
    // Bytes, as sound is: a short text would travel in its cache entry as well.
    const speech = await ctx.write("s.ogg", Buffer.from(text.slice(0, 20)));
    return { speech, length: { chars: text.length } };
  },
});
`;
const WORKER = `
import { z } from "zod";
import { defineStage, file, json } from "../core/stage.ts";
export default defineStage({
  input: { speech: file({ mediaType: "audio/ogg" }), length: json(z.object({ chars: z.number() })) },
  output: { out: file({ mediaType: "text/plain", fileName: "out.txt" }) },
  params: z.strictObject({ greeting: z.string().default("heard") }),
  async run({ input, params, ctx }) {
    const text = await ctx.readText(input.speech);
    return { out: await ctx.write("out.txt", params.greeting + ": " + text + " of " + input.length.chars) };
  },
});
`;
const JOB = "20261125-2000-edge-7f3a";
const ROOT = join(import.meta.dirname, "..");

async function world(t: TestContext, more = "") {
  const dir = mkdtempSync(join(tmpdir(), "clipscribe-edge-test-"));
  mkdirSync(join(dir, "stages"));
  mkdirSync(join(dir, "media"));
  cpSync(join(ROOT, "core"), join(dir, "core"), { recursive: true });
  writeFileSync(join(dir, "stages", "edge.ts"), EDGE);
  writeFileSync(join(dir, "stages", "worker.ts"), WORKER);
  const pipeline = join(dir, "pipeline.yaml");
  const trace = join(dir, "trace");
  const write = (rate: number, greeting = "heard"): void =>
    writeFileSync(
      pipeline,
      `pipeline: test
accept: [mp4]
${more}
stages:
  - { id: edge, uses: stages/edge.ts, runs_on: edge, with: { trace: "${trace}", rate: ${rate} } }
  - { id: worker, uses: stages/worker.ts, with: { greeting: ${greeting} } }
publish: [out.txt, speech.ogg]
`,
    );
  write(1);
  const cloud = await openCloudWorld(pipeline);
  t.after(async () => {
    await cloud[Symbol.asyncDispose]();
    rmSync(dir, { recursive: true, force: true });
  });
  const medium = (name: string, text = `${name} speaks for a very long time, and on and on`) => {
    const path = join(dir, "media", name);
    writeFileSync(path, text);
    return path;
  };
  const laptop = async (request: Partial<LaptopRequest>, home = "laptop") => {
    const argument = JSON.stringify({ pipeline, job: JOB, ...request });
    const env = { ...cloud.env, CLIPSCRIBE_HOME: join(cloud.dir, home) };
    return new Promise<{ outcome: { action: string; why?: string }[]; stages: string[] }>(
      (resolve, reject) => {
        const child = [join(ROOT, "samples", "laptop-child.ts"), argument];
        execFile(process.execPath, child, { env, cwd: dir }, (error, stdout, stderr) => {
          if (error !== null) reject(new Error(stderr.slice(-2_000)));
          else resolve(JSON.parse(stdout) as never);
        });
      },
    );
  };
  const list = async (prefix: string): Promise<string[]> => {
    const keys: string[] = [];
    for await (const { key } of cloud.store.list(prefix)) keys.push(key);
    return keys;
  };
  const read = async (key: string): Promise<string> =>
    Buffer.from((await cloud.store.get(parseObjectKey(key))).body).toString();
  const ran = (): string[] =>
    existsSync(trace) ? readFileSync(trace, "utf8").trim().split("\n") : [];
  const ended = async (item: string, run = 1): Promise<ItemState> => {
    for (const deadline = Date.now() + 40_000; Date.now() < deadline;) {
      const state = await cloud.readItem(JOB, item);
      const isOver = state !== undefined && !["queued", "processing"].includes(state.status);
      // Its tail as well: the ticket goes last.
      if (isOver && state.run >= run && (await list("inbox/")).length === 0) return state;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error(`${item} has not ended: ${JSON.stringify(await cloud.readItem(JOB, item))}`);
  };
  return { dir, pipeline, write, cloud, medium, laptop, list, read, ran, ended };
}

async function until<Value>(
  look: () => Promise<Value | undefined>,
  what: string,
  seconds = 90,
): Promise<Value> {
  for (const deadline = Date.now() + seconds * 1000; Date.now() < deadline;) {
    const found = await look();
    if (found !== undefined) return found;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  throw new Error(`${what} did not come in ${seconds} s`);
}

const stateOf = (state: ItemState, stage: string): string =>
  `${state.stages[stage]?.state}: ${state.stages[stage]?.why}`;

// Together: they wait for processes to start more than they work.
describe("edge stages on a laptop, the rest on a runner elsewhere", { concurrency: 4 }, () => {
  test("what the laptop made is in the bucket before the ticket, the original is not; a runner publishes from it", async (t) => {
    const w = await world(t);
    const path = w.medium("a.mp4");
    await w.laptop({ files: [path] });
    const [key = ""] = await w.list("inbox/");
    const ticket = Ticket.parse(JSON.parse(await w.read(key)));
    assert.deepEqual(
      ticket.artifacts.map(({ name, media_type, file_name }) => [name, media_type, file_name]),
      [
        ["edge.speech", "audio/ogg", "speech.ogg"],
        ["edge.length", "application/json", null],
      ],
    );
    for (const { key: blob, size } of ticket.artifacts) {
      assert.equal((await w.read(blob)).length, size);
    }
    assert.deepEqual(await w.list("sources/"), []);
    // Whoever works on it has neither the file nor the laptop's records.
    rmSync(path);
    w.cloud.startRunner("server");
    const state = await w.ended("a");

    assert.equal(state.status, "complete");
    assert.match(stateOf(state, "edge"), /^reused: made on .+: first run$/);
    assert.match(await w.read(`results/me/${JOB}/a/out.txt`), /^heard: a.mp4 speaks .* of 48$/);
    assert.deepEqual(w.ran(), ["edge a.mp4"]);
    const manifest = Manifest.parse(JSON.parse(await w.read(`results/me/${JOB}/a/manifest.json`)));
    const [edge, worker] = manifest.stages;
    const { digest, stages } = (await loadPipeline(w.pipeline, join(w.dir, "home"))).pipeline;
    assert.equal(manifest.pipeline.digest, digest);
    assert.equal(edge?.code_digest, stages[0]?.codeDigest);
    assert.equal(edge?.params["rate"], 1);
    assert.equal(edge?.made_by, ticket.prepared[0]?.made_by);
    assert.notEqual(edge?.made_by, worker?.made_by);
  });

  test("the same file again runs nothing; a changed worker stage runs alone, by the laptop's artifacts", async (t) => {
    const w = await world(t);
    const files = [w.medium("a.mp4")];
    w.cloud.startRunner("server");
    await w.laptop({ files });
    await w.ended("a");

    const same = await w.laptop({ files });
    const again = await w.laptop({ files, again: true });
    const state = await w.ended("a", 2);

    assert.deepEqual(same, { outcome: [{ item: "a", action: "done" }], stages: [] });
    assert.deepEqual(again.stages, ["a edge reused: reused"]);
    assert.match(stateOf(state, "edge"), /^reused: made on [^:]+$/);
    assert.equal(stateOf(state, "worker"), "reused: reused");
    assert.deepEqual(w.ran(), ["edge a.mp4"]);
  });

  test("a replay after the blobs are gone is held, says what to do, and the laptop that has the file completes it", async (t) => {
    const w = await world(t);
    const files = [w.medium("a.mp4")];
    w.cloud.startRunner("server");
    await w.laptop({ files });
    const first = await w.ended("a");
    for (const key of await w.list("blobs/")) await w.cloud.store.delete(parseObjectKey(key));
    for (const key of await w.list("cache/")) await w.cloud.store.delete(parseObjectKey(key));
    const replay = await w.cloud.clipscribe("replay", `${JOB}/a`, "--pipeline", w.pipeline);
    assert.equal(replay.code, 0, replay.stderr);
    const held = await w.ended("a", 2);

    assert.deepEqual([held.status, held.error?.kind], ["held", "missing"]);
    assert.match(held.error?.message ?? "", /neither here nor in the bucket file="a.mp4"/);
    assert.match(held.error?.hint ?? "", /clipscribe up/);
    // A held run leaves the earlier publish in force.
    assert.equal(held.manifest?.sha256, first.manifest?.sha256);

    const stranger = await w.laptop({ resend: "a" }, "another-laptop");
    assert.deepEqual(stranger.outcome, { action: "leave", why: "the original is not here" });
    const sent = await w.laptop({ resend: "a" });
    const state = await w.ended("a", 3);

    assert.deepEqual(sent.outcome, {
      action: "ticket",
      ticket: `inbox/batch/me/${JOB}/a.3.json`,
      run: 3,
    });
    assert.equal(state.status, "complete");
    assert.match(stateOf(state, "edge"), /^reused: made on /);
    assert.deepEqual(w.ran(), ["edge a.mp4", "edge a.mp4"]);
    assert.deepEqual((await w.laptop({ resend: "a" })).outcome, { action: "none" });
    assert.deepEqual(await w.list("sources/"), []);
  });

  for (const [what, lie] of [
    ["other bytes of the same length", (good: Buffer) => Buffer.from("x".repeat(good.length))],
    ["bytes of another length", () => Buffer.from("short")],
  ] as const) {
    test(`an artifact with ${what} is refused, and made again by the laptop`, async (t) => {
      const w = await world(t);
      await w.laptop({ files: [w.medium("a.mp4")] });
      const [key = ""] = await w.list("inbox/");
      const { artifacts } = Ticket.parse(JSON.parse(await w.read(key)));
      for (const each of artifacts) {
        const good = (await w.cloud.store.get(parseObjectKey(each.key))).body;
        await w.cloud.store.put(parseObjectKey(each.key), lie(Buffer.from(good)));
      }
      w.cloud.startRunner("server");
      const held = await w.ended("a");
      assert.deepEqual([held.status, held.error?.kind], ["held", "missing"]);
      assert.deepEqual(await w.list("results/"), []);

      await w.laptop({ resend: "a" });
      const state = await w.ended("a", 2);

      assert.equal(state.status, "complete");
      assert.match(await w.read(`results/me/${JOB}/a/out.txt`), /^heard: a.mp4 speaks .* of 48$/);
      assert.match(await w.read(`results/me/${JOB}/a/speech.ogg`), /^a.mp4 speaks/);
    });
  }

  test("a replay by a pipeline whose edge stage has changed waits for the laptop, one of a changed worker stage does not", async (t) => {
    const w = await world(t);
    const server = w.cloud.startRunner("server");
    await w.laptop({ files: [w.medium("a.mp4")] });
    await w.ended("a");
    const restart = async (): Promise<void> => {
      server.kill("SIGKILL");
      w.cloud.startRunner(`server-${w.ran().length}-${Date.now()}`);
      const replay = await w.cloud.clipscribe("replay", `${JOB}/a`, "--pipeline", w.pipeline);
      assert.equal(replay.code, 0, replay.stderr);
    };
    w.write(1, "understood");
    await restart();
    const worker = await w.ended("a", 2);
    w.write(2, "understood");
    await restart();
    const edge = await w.ended("a", 3);

    assert.deepEqual([worker.status, edge.status], ["complete", "held"]);
    assert.match(stateOf(worker, "edge"), /^reused: made on /);
    assert.equal(stateOf(edge, "edge"), "held: params.rate changed 1 → 2");
  });

  test("with `upload: source` the original goes up too, and a bare replay runs everything there", async (t) => {
    const w = await world(t, "upload: source");
    await w.laptop({ files: [w.medium("a.mp4")] });
    assert.equal((await w.list("sources/")).length, 1);
    w.cloud.startRunner("server");
    const first = await w.ended("a");
    for (const key of [...(await w.list("blobs/")), ...(await w.list("cache/"))]) {
      await w.cloud.store.delete(parseObjectKey(key));
    }
    await w.cloud.clipscribe("replay", `${JOB}/a`, "--pipeline", w.pipeline);
    const state = await w.ended("a", 2);

    assert.match(first.video_key ?? "", /^sources\/me\/[0-9a-f]{64}\.mp4$/);
    assert.equal(state.status, "complete");
    assert.equal(stateOf(state, "edge"), "ran: its earlier result is gone");
  });

  test("a file that can't be made ready fails by itself, with its reason, and brings no runner down", async (t) => {
    const w = await world(t);
    w.cloud.startRunner("server");
    const files = [w.medium("a.mp4"), w.medium("b.mp4", "bad medium")];
    const { outcome } = await w.laptop({ files });
    await w.ended("a");
    const state = await w.ended("b");

    assert.deepEqual(
      outcome.map(({ action }) => action),
      ["ticket", "ended"],
    );
    assert.deepEqual([state.status, state.error?.message], ["failed", "this medium is bad"]);
    assert.equal(state.stages["edge"]?.state, "failed");
    const audit = await w.cloud.clipscribe("audit", "--json");
    const { counts, ok } = JSON.parse(audit.stdout) as { counts: object; ok: boolean };
    assert.deepEqual([counts, ok], [{ complete: 1, failed: 1 }, true]);
    assert.match((await w.cloud.clipscribe("dead", "list")).stdout, /this medium is bad/);

    // Corrected, the same name goes through.
    appendFileSync(files[1] ?? "", "");
    writeFileSync(files[1] ?? "", "a good medium by now, which is long enough");
    await w.laptop({ files });
    assert.equal((await w.ended("b", 2)).status, "complete");
  });

  test("`up` prepares what is dropped, sends again what a server misses, and after a restart too", async (t) => {
    const w = await world(t);
    const home = join(w.cloud.dir, "laptop");
    const inbox = join(home, "inbox");
    mkdirSync(inbox, { recursive: true });
    const startUp = (): ReturnType<typeof spawn> => {
      const command = [
        join(ROOT, "bin", "clipscribe.ts"),
        "up",
        "--pipeline",
        w.pipeline,
        "--json",
      ];
      const env = { ...w.cloud.env, CLIPSCRIBE_HOME: home, CLIPSCRIBE_SETTLE_MS: "300" };
      const child = spawn(process.execPath, command, { env, cwd: w.dir, stdio: "ignore" });
      t.after(() => child.kill("SIGKILL"));
      return child;
    };
    const up = startUp();
    cpSync(join(ROOT, "samples", "council-meeting.mp4"), join(inbox, "talk.mp4"));
    const ticket = await until(async () => (await w.list("inbox/"))[0], "a ticket");
    assert.deepEqual(await w.list("sources/"), []);
    const job = ticket.split("/")[3] ?? "";
    const lose = async (): Promise<void> => {
      for (const key of [...(await w.list("blobs/")), ...(await w.list("cache/"))]) {
        await w.cloud.store.delete(parseObjectKey(key));
      }
    };
    const shown = (): number | undefined => {
      const path = join(home, "results", job, "talk", "manifest.json");
      return existsSync(path)
        ? Manifest.parse(JSON.parse(readFileSync(path, "utf8"))).run
        : undefined;
    };
    await lose();
    w.cloud.startRunner("server");
    assert.equal(await until(async () => shown(), "results of the second run"), 2);

    up.kill("SIGTERM");
    await lose();
    const replay = await w.cloud.clipscribe("replay", `${job}/talk`, "--pipeline", w.pipeline);
    assert.equal(replay.code, 0, replay.stderr);
    await until(async () => {
      const state = await w.cloud.readItem(job, "talk");
      return state?.status === "held" ? state : undefined;
    }, "the replay's end");
    startUp();
    assert.equal(await until(async () => (shown() === 4 ? 4 : undefined), "its results"), 4);
    assert.deepEqual(w.ran(), ["edge talk.mp4", "edge talk.mp4", "edge talk.mp4"]);
  });

  test("a network that is gone for a while is waited for: no try of a stage is lost", async (t) => {
    const w = await world(t);
    await w.cloud.setFaults({ seed: 1, s3: { "503": 0.4, reset: 0.2 } });
    await w.laptop({ files: ["a", "b", "c"].map((name) => w.medium(`${name}.mp4`)) });
    await w.cloud.setFaults({ seed: 1 });

    assert.equal((await w.list("inbox/")).length, 3);
    assert.deepEqual(w.ran().toSorted(), ["edge a.mp4", "edge b.mp4", "edge c.mp4"]);
  });
});
