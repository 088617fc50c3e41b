/**
 * `cloud plan`, `apply` and `check` from end to end: the stand-in of the control plane makes the
 * rules, the emulator has the bucket, the events and the queues.
 */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";

import { openR2Store } from "../../adapters/r2/r2-store.ts";
import { DAY_S } from "../../core/account-wanted.ts";
import type { LifecycleRule } from "../../core/account-wanted.ts";
import { sha256Of } from "../../core/digest.ts";
import { parseObjectKey } from "../../core/keys.ts";
import { openEmulator } from "../../emulator/emulator.ts";
import type { ObjectStore } from "../../ports/object-store.ts";
import { startCloudflareStandIn } from "../../stand-ins/cloudflare-account.ts";
import type { StandInOptions } from "../../stand-ins/cloudflare-account-state.ts";
import { putPipeline, swapPointer } from "../../sync/pipeline-store.ts";
import { main } from "../main.ts";
import type { CheckResult } from "./checks.ts";
import { captureIo } from "../../samples/captured-io.ts";

interface Checked {
  ok: boolean;
  checks: CheckResult[];
  facts: Record<string, { ms: number; body: string; key: string; etag: string }>;
}

async function world(t: TestContext, options: StandInOptions = {}) {
  const dir = mkdtempSync(join(tmpdir(), "clipscribe-check-"));
  const emulator = await openEmulator({ dir: join(dir, "cloud"), rules: "none" });
  const { address } = emulator;
  const relay = {
    baseUrl: address.queues_base_url,
    accountId: address.account_id,
    apiToken: address.api_token,
  };
  const cloud = await startCloudflareStandIn({ accountId: address.account_id, relay, ...options });
  const store = openR2Store({
    endpoint: address.s3_endpoint,
    bucket: address.bucket,
    accessKeyId: address.access_key_id,
    secretAccessKey: address.secret_access_key,
    minWriteIntervalMs: 0,
    etags: "md5",
  });
  t.after(async () => {
    store[Symbol.dispose]();
    await cloud[Symbol.asyncDispose]();
    await emulator[Symbol.asyncDispose]();
    rmSync(dir, { recursive: true, force: true });
  });
  const env: Record<string, string | undefined> = {
    HOME: dir,
    PATH: process.env["PATH"],
    CLIPSCRIBE_STORE: `r2:${address.bucket}`,
    CLOUDFLARE_ACCOUNT_ID: cloud.accountId,
    CLOUDFLARE_API_TOKEN: "setup-token",
    CLOUDFLARE_API_BASE_URL: cloud.baseUrl,
    R2_ENDPOINT: address.s3_endpoint,
    R2_ACCESS_KEY_ID: address.access_key_id,
    R2_SECRET_ACCESS_KEY: address.secret_access_key,
  };
  const run = async (args: string[], more: Record<string, string> = {}) => {
    const heard = captureIo({ env: { ...env, ...more }, cwd: dir });
    const code = await main(["cloud", ...args], heard.io);
    return { code, stdout: heard.stdout, stderr: heard.stderr };
  };
  const check = async (wait = 10, more: Record<string, string> = {}) => {
    const { code, stdout, stderr } = await run(["check", "--json", "--wait", `${wait}`], more);
    assert.notEqual(stdout, "", stderr);
    return { code, ...(JSON.parse(stdout) as Checked) };
  };
  const setFaults = async (faults: unknown) => {
    await fetch(address.faults_url, { method: "PUT", body: JSON.stringify(faults) });
  };
  return { dir, emulator, cloud, store, run, check, setFaults };
}

const PIPELINE = (accept: string): string =>
  `pipeline: test\naccept: ${accept}\nstages:\n  - id: only\n    uses: stages/only.ts\npublish: [out.txt]\n`;

/** As `pipeline push` puts it; nobody runs it here, so it needs no bundles. */
async function pushText(store: ObjectStore, yaml: string): Promise<void> {
  const digest = sha256Of(yaml);
  const index = {
    schema: 1 as const,
    digest,
    name: "test",
    yaml,
    stages: {},
    shared: [],
    texts: {},
    clipscribe_version: "test",
  };
  await putPipeline(store, { index, bundles: new Map() }, () => null);
  const at = "2026-11-25T10:00:00.000Z";
  const change = { digest, name: "test", action: "push" as const, at, by: "desk", changes: [] };
  await swapPointer(store, undefined, change);
}

const stateOf = (checked: Checked, id: string): CheckResult | undefined =>
  checked.checks.find((each) => each.id === id);

async function listAll(store: ReturnType<typeof openR2Store>): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list("")) keys.push(key);
  return keys;
}

describe("an account from nothing to a check that passes", () => {
  for (const putRules of ["adds", "replaces"] as const) {
    test(`plan, apply --save, check, where PUT of rules ${putRules}`, async (t) => {
      const { dir, cloud, store, run, check } = await world(t, { putRules });

      const planned = await run(["plan"]);
      assert.equal(planned.code, 0);
      assert.match(planned.stdout, /\+ create the bucket clipscribe .*\n.*\n/);
      assert.match(planned.stdout, /1 runner, 2 items a day +\d+ GB +\$\d+\.\d\d/);
      assert.match(planned.stdout, /nothing was changed/);
      assert.deepEqual(cloud.buckets, []);

      const applied = await run(["apply", "--save"]);
      assert.equal(applied.code, 0, applied.stderr);
      assert.match(applied.stdout, /Account · Queues: Edit/);
      const saved = readFileSync(join(dir, ".config", "clipscribe", "config.yaml"), "utf8");
      assert.match(saved, new RegExp(`CLIPSCRIBE_QUEUE_URGENT: ${cloud.queues[0]?.queue_id}`));
      assert.doesNotMatch(saved, /setup-token|SECRET/);

      const checked = await check();
      assert.equal(
        checked.code,
        0,
        JSON.stringify(checked.checks.filter(({ state }) => state !== "ok")),
      );
      assert.deepEqual(
        checked.checks.map(({ id, state }) => `${id} ${state}`),
        [
          "token ok",
          "queues ok",
          "settings ok",
          "account ok",
          "objects ok",
          "conditions ok",
          "race ok",
          "uploads ok",
          "copies ok",
          "credentials ok",
          "event urgent ok",
          "event batch ok",
          "event drop ok",
          "event upload ok",
        ],
      );
      const { event_urgent: urgent, event_upload: upload } = checked.facts;
      assert.deepEqual(
        [urgent?.key, urgent?.body, upload?.etag],
        ["raw", "base64", "the object's"],
      );
      assert.equal(checked.facts["listing_without_prefix"], "refused");
      assert.deepEqual(await listAll(store), [], "nothing of a check stays");
      assert.deepEqual(
        cloud.asked.filter((each) => each.startsWith("DELETE")),
        [],
      );
    });
  }
});

describe("a bucket that somebody else uses", () => {
  test("is left as it is: the plan and apply name one of its objects, and what to do", async (t) => {
    const { run, store, cloud } = await world(t);
    cloud.addBucket("clipscribe");
    await store.put(parseObjectKey("photos/cat.jpg"), Buffer.from("a cat"));

    const planned = await run(["plan"]);
    const applied = await run(["apply"]);

    assert.equal(planned.code, 2);
    assert.match(planned.stdout, /! .*not ClipScribe's, as "photos\/cat\.jpg"\n.*CLIPSCRIBE_STORE/);
    assert.equal(applied.code, 2);
    assert.match(applied.stderr, /holds objects that are not ClipScribe's, as "photos\/cat\.jpg"/);
    assert.deepEqual(
      cloud.asked.filter((each) => !each.startsWith("GET ")),
      [],
    );
    assert.deepEqual(await listAll(store), ["photos/cat.jpg"]);
  });
});

describe("how long a bucket keeps things", () => {
  test("is what the pushed pipeline says, and the default where it says nothing", async (t) => {
    const { dir, run, store, cloud } = await world(t);
    writeFileSync(join(dir, "pipeline.yaml"), PIPELINE("[mp4]"));
    await run(["apply"]);
    const days = (): Record<string, number> =>
      Object.fromEntries(
        ((cloud.buckets[0]?.lifecycle ?? []) as LifecycleRule[]).flatMap(
          ({ id, deleteObjectsTransition: end }) =>
            end === undefined ? [] : [[id, (end.condition.maxAge ?? 0) / DAY_S]],
        ),
      );
    assert.deepEqual(days(), {
      "clipscribe-sources": 30,
      "clipscribe-drops": 30,
      "clipscribe-blobs": 90,
    });

    const keep = "retention: { source: 7d, results: forever }\n";
    await pushText(store, `${keep}${PIPELINE("[mp4]")}`);
    const planned = await run(["plan"]);
    await run(["apply"]);

    assert.match(planned.stdout, /lifecycle: sources go after 7 days, drops go after 7 days\n/);
    assert.deepEqual(days(), {
      "clipscribe-sources": 7,
      "clipscribe-drops": 7,
      "clipscribe-blobs": 90,
    });
    assert.match((await run(["plan"])).stdout, /everything is as it should be/);
  });
});

describe("event rules of bare drops", () => {
  test("follow the pushed pipeline, whatever pipeline.yaml says here", async (t) => {
    const { dir, run, store, cloud } = await world(t);
    writeFileSync(join(dir, "pipeline.yaml"), PIPELINE("[mp4]"));
    await run(["apply"]);
    const suffixes = (): string[] =>
      [...(cloud.buckets[0]?.rules.values() ?? [])].flat().map(({ suffix }) => suffix);
    assert.deepEqual(new Set(suffixes()), new Set(["", ".mp4", ".MP4"]));

    await pushText(store, PIPELINE("[mp4, wma]"));
    const planned = await run(["plan"]);
    await run(["apply"]);
    writeFileSync(join(dir, "pipeline.yaml"), "broken\n");
    const again = await run(["plan"]);

    assert.match(planned.stdout, /what the pushed pipeline [0-9a-f]{12} accepts/);
    assert.match(
      planned.stdout,
      /tell clipscribe-batch of drops\/\* \(\.wma, in small letters and capitals\)/,
    );
    assert.deepEqual(new Set(suffixes()), new Set(["", ".mp4", ".MP4", ".wma", ".WMA"]));
    assert.match(again.stdout, /everything is as it should be/);
  });

  test("go by pipeline.yaml where the pushed one can't be read, and the plan says so", async (t) => {
    const { dir, run, store } = await world(t);
    writeFileSync(join(dir, "pipeline.yaml"), PIPELINE("[mp4]"));
    await store.put(parseObjectKey("pipelines/current.json"), Buffer.from("{"));

    const planned = await run(["plan"]);

    assert.match(planned.stdout, /pipeline\.yaml; the pushed one can't be read: .* accepts/);
    assert.match(planned.stdout, /drops\/\* \(\.mp4, in small/);
  });
});

describe("a check names what is wrong, and goes on with the rest", () => {
  test("before apply: what is lacking, and what to run", async (t) => {
    const { check } = await world(t);
    const checked = await check();

    assert.equal(checked.code, 7);
    assert.equal(stateOf(checked, "queues")?.state, "failed");
    assert.match(stateOf(checked, "queues")?.hint ?? "", /clipscribe cloud apply/);
    assert.equal(stateOf(checked, "conditions")?.state, "ok");
  });

  test("a store that takes conditions and does not heed them", async (t) => {
    const { run, check, setFaults } = await world(t);
    await run(["apply", "--save"]);
    await setFaults({ s3: { ignore_conditions: true } });
    const checked = await check(1);

    assert.equal(checked.code, 7);
    assert.match(stateOf(checked, "conditions")?.say ?? "", /two runners would both win/);
    assert.match(stateOf(checked, "race")?.say ?? "", /10 of 10 creators/);
  });

  test("events that never come; and where a runner is at work, that it may have taken them", async (t) => {
    const { run, check, setFaults, store } = await world(t);
    await run(["apply", "--save"]);
    await setFaults({ events: { drop: 1 } });
    const checked = await check(1);
    assert.equal(stateOf(checked, "event urgent")?.state, "failed");
    assert.match(stateOf(checked, "event urgent")?.hint ?? "", /clipscribe cloud plan/);

    await store.put(parseObjectKey("sys/runners/desk-1-aa.json"), Buffer.from("{}"));
    const beside = await check(1);
    assert.equal(stateOf(beside, "event urgent")?.state, "unclear");
    assert.match(stateOf(beside, "event urgent")?.say ?? "", /desk-1-aa works on this queue/);
  });

  test("queues that the settings do not name yet are no failure where somebody sets up", async (t) => {
    const { run, check } = await world(t);
    await run(["apply"]);
    const checked = await check();

    assert.equal(checked.code, 0);
    assert.equal(stateOf(checked, "settings")?.state, "skipped");
    assert.equal(stateOf(checked, "event urgent")?.state, "ok");
  });

  test("settings that name another queue, keys that may not write, and a runner's token", async (t) => {
    const { run, check, cloud } = await world(t);
    await run(["apply", "--save"]);
    cloud.tokens.set("runner-token", ["queues"]);

    const wrong = await check(1, { CLIPSCRIBE_QUEUE_URGENT: "f".repeat(32) });
    assert.match(stateOf(wrong, "settings")?.hint ?? "", /CLIPSCRIBE_QUEUE_URGENT=[0-9a-f]{32}/);

    const keys = await check(1, { R2_SECRET_ACCESS_KEY: "wrong" });
    assert.equal(stateOf(keys, "objects")?.state, "failed");
    assert.match(
      stateOf(keys, "objects")?.hint ?? "",
      /R2_ACCESS_KEY_ID.*Object Read & Write for this bucket/,
    );

    const runner = await check(10, { CLOUDFLARE_API_TOKEN: "runner-token" });
    assert.equal(runner.code, 0);
    assert.equal(stateOf(runner, "account")?.state, "skipped");
    assert.match(stateOf(runner, "account")?.hint ?? "", /Workers R2 Storage: Edit/);
    assert.equal(stateOf(runner, "event batch")?.state, "ok");
  });

  test("messages of others are given back, and wait for their runner", async (t) => {
    const { run, check, store, cloud } = await world(t);
    await run(["apply", "--save"]);
    const ticket = parseObjectKey("inbox/urgent/me/20261125-1000-talk-7f3a/talk.1.json");
    await store.put(ticket, Buffer.from("{}"));

    const checked = await check();

    assert.equal(checked.code, 0);
    const [urgent] = cloud.queues;
    const url = `${cloud.baseUrl}/accounts/${cloud.accountId}/queues/${urgent?.queue_id}/messages/pull`;
    const headers = { authorization: "Bearer setup-token" };
    const answer = await fetch(url, { method: "POST", headers, body: "{}" });
    const { result } = (await answer.json()) as { result: { messages: { body: string }[] } };
    const bodies = result.messages.map(({ body }) => Buffer.from(body, "base64").toString());
    assert.equal(bodies.length, 1);
    assert.match(bodies[0] ?? "", /talk\.1\.json/);
  });
});

describe("settings that contradict each other are told before anybody is asked", () => {
  const account = "0123456789abcdef0123456789abcdef";
  const rows: [string, Record<string, string>, RegExp][] = [
    [
      "a store that is no R2",
      { CLIPSCRIBE_STORE: "s3:clipscribe" },
      /the settings name no R2 bucket/,
    ],
    ["no account", { CLOUDFLARE_ACCOUNT_ID: "" }, /CLOUDFLARE_ACCOUNT_ID is not set/],
    ["an account that is none", { CLOUDFLARE_ACCOUNT_ID: "me" }, /CLOUDFLARE_ACCOUNT_ID is none/],
    ["no token", { CLOUDFLARE_API_TOKEN: "" }, /CLOUDFLARE_API_TOKEN is not set/],
    [
      "an endpoint of another account",
      { R2_ENDPOINT: `https://${"f".repeat(32)}.r2.cloudflarestorage.com` },
      /R2_ENDPOINT is of another account/,
    ],
    [
      "an endpoint of another jurisdiction",
      { R2_ENDPOINT: `https://${account}.eu.r2.cloudflarestorage.com` },
      /R2_ENDPOINT is of another jurisdiction .*CLOUDFLARE_JURISDICTION="default"/,
    ],
    [
      "a jurisdiction that there is not",
      { CLOUDFLARE_JURISDICTION: "mars" },
      /give default, eu, us, fedramp/,
    ],
  ];
  for (const [what, more, says] of rows) {
    test(what, async (t) => {
      const { run, cloud } = await world(t);
      const { code, stderr } = await run(["apply"], more);

      assert.equal(code, 2);
      assert.match(stderr, says);
      assert.deepEqual(cloud.asked, []);
    });
  }

  test("a pipeline.yaml that can't be read", async (t) => {
    const { run, cloud, dir } = await world(t);
    writeFileSync(join(dir, "pipeline.yaml"), "acept: [mp4]\n");
    const { code, stderr } = await run(["plan"]);

    assert.equal(code, 2);
    assert.match(stderr, /acept/);
    assert.deepEqual(cloud.asked, []);
  });
});
