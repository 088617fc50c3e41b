/**
 * Setting up an account, against the stand-in of the control plane: interrupted at every request in
 * turn, with a PUT of rules that adds and one that replaces, it ends in the same state. It takes
 * half a minute, for a hundred setups and a process for each request.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";

import { openCloudflareAccount } from "../../adapters/cloudflare-account/cloudflare-account.ts";
import { hasKind, isKind } from "../../core/errors.ts";
import { wantedAccount } from "../../core/account-wanted.ts";
import type { AccountNeeds } from "../../core/account-wanted.ts";
import { startCloudflareStandIn } from "../../stand-ins/cloudflare-account.ts";
import type {
  CloudflareStandIn,
  StandInOptions,
  StandInTrouble,
} from "../../stand-ins/cloudflare-account-state.ts";
import { applyAccount } from "./apply-account.ts";
import type { AppliedAccount } from "./apply-account.ts";

const ROOT = join(import.meta.dirname, "..", "..");
const ACCEPT = ["mp4", "m4a"];
const OTHERS_RULE = {
  ruleId: "theirs",
  createdAt: "2026-01-01T00:00:00Z",
  prefix: "exports/",
  suffix: "",
  actions: ["DeleteObject"],
  description: "somebody else's",
};

type Cloud = CloudflareStandIn;
/** Where a setup begins: nothing, or what others and an earlier try have left. */
const STARTS: Record<string, (cloud: Cloud) => void> = {
  "an empty account": () => undefined,
  "a half-applied one with others' rules": (cloud) => {
    const bucket = cloud.addBucket("clipscribe");
    bucket.lifecycle.push({
      id: "theirs",
      enabled: true,
      conditions: { prefix: "exports/" },
      deleteObjectsTransition: { condition: { type: "Date", date: "2030-01-01" } },
      "a field of tomorrow": { kept: true },
    });
    const queue = cloud.addQueue("clipscribe-batch");
    queue.producers.push({ type: "r2_bucket", bucket_name: "clipscribe" });
    const half = { ...OTHERS_RULE, ruleId: "ours", prefix: "drops/", suffix: ".mp4" };
    const actions = ["PutObject", "CompleteMultipartUpload"];
    const description = "ClipScribe: bare drops";
    bucket.rules.set(queue.queue_id, [{ ...half, actions, description }, OTHERS_RULE]);
  },
};

async function open(t: TestContext, options: StandInOptions = {}): Promise<Cloud> {
  const cloud = await startCloudflareStandIn(options);
  t.after(async () => cloud[Symbol.asyncDispose]());
  return cloud;
}

function setUp(
  cloud: Cloud,
  more: Partial<AccountNeeds> & { token?: string; signal?: AbortSignal; foreign?: string } = {},
): Promise<AppliedAccount> {
  const { token = "setup-token", signal, foreign = null, ...needs } = more;
  const wanted = wantedAccount({
    accountId: cloud.accountId,
    bucket: "clipscribe",
    jurisdiction: "default",
    accept: ACCEPT,
    webOrigins: ["https://desk.example.org"],
    ...needs,
  });
  const api = { baseUrl: cloud.baseUrl, apiToken: token };
  const account = openCloudflareAccount(api, wanted, signal);
  const sleep = async (): Promise<void> => undefined;
  return applyAccount({ account, wanted, findForeign: async () => foreign, sleep });
}

const isWrite = (asked: string): boolean => !asked.startsWith("GET ");

describe("setting up an account", () => {
  for (const [start, prepare] of Object.entries(STARTS)) {
    for (const putRules of ["adds", "replaces"] as const) {
      test(`${start}, where PUT of rules ${putRules}: done once, then nothing is left to do`, async (t) => {
        const cloud = await open(t, { putRules });
        prepare(cloud);
        const before = structuredClone(cloud.buckets[0]?.lifecycle ?? []);

        await setUp(cloud);
        const state = cloud.describe();
        const asked = cloud.asked.length;
        const again = await setUp(cloud);

        assert.deepEqual(again.done, []);
        assert.deepEqual(cloud.asked.slice(asked).filter(isWrite), []);
        assert.deepEqual(cloud.describe(), state);
        assertAsWanted(cloud);
        for (const rule of before) {
          assert.ok(cloud.buckets[0]?.lifecycle.some((each) => isSame(each, rule)));
        }
      });

      test(`${start}, where PUT ${putRules}: interrupted at each request in turn, the same in the end`, async (t) => {
        const calm = await open(t, { putRules });
        prepare(calm);
        await setUp(calm);
        const state = calm.describe();
        const requests = calm.asked.length;
        // An error, and an end of the process: before the request was done, and after it.
        const troubles: { trouble: StandInTrouble; isStopped: boolean }[] = [
          { trouble: { when: "before", status: 500 }, isStopped: false },
          { trouble: { when: "after", status: 500 }, isStopped: false },
          { trouble: { when: "before", status: "cut" }, isStopped: true },
          { trouble: { when: "after", status: "cut" }, isStopped: true },
        ];
        const cases = troubles.flatMap((each) =>
          Array.from({ length: requests }, (_, index) => ({ ...each, at: index + 1 })),
        );

        await inBatches(cases, async ({ trouble, isStopped, at }) => {
          await using cloud = await startCloudflareStandIn({ putRules });
          prepare(cloud);
          const stop = new AbortController();
          cloud.setTrouble((number) => {
            if (number !== at) return null;
            if (isStopped) stop.abort();
            return trouble;
          });
          const first = setUp(cloud, { signal: stop.signal });
          if (isStopped) await assert.rejects(first, hasKind("cancelled", "transient"));
          else await first;
          await setUp(cloud);
          assert.deepEqual(cloud.describe(), state, `request ${at}, ${JSON.stringify(trouble)}`);
          assert.deepEqual(
            cloud.asked.filter((each) => each.startsWith("DELETE")),
            [],
          );
        });
        assert.ok(requests >= 12, `${requests} requests`);
      });
    }
  }

  test("killed with SIGKILL after each request that changes something: the same in the end", async (t) => {
    const dir = mkdtempSync(join(tmpdir(), "clipscribe-account-"));
    t.after(() => rmSync(dir, { recursive: true, force: true }));
    const pipeline = readFileSync(join(ROOT, "pipeline.yaml"), "utf8");
    const accept = `accept: [${ACCEPT.join(", ")}]`;
    writeFileSync(join(dir, "pipeline.yaml"), pipeline.replace(/^accept: .*$/m, accept));
    const calm = await open(t);
    await setUp(calm);
    const state = calm.describe();
    // A death after a reading leaves what a death before it left: the account as it was.
    const cases = calm.asked.flatMap((asked, index) => (isWrite(asked) ? [index + 1] : []));
    assert.equal(cases.length, 9);

    await inBatches(
      cases,
      async (at) => {
        await using cloud = await startCloudflareStandIn();
        let child: ChildProcess | undefined;
        cloud.setTrouble((number) => {
          if (number !== at) return null;
          child?.kill("SIGKILL");
          return { when: "after", status: "cut" };
        });
        child = startSetup(cloud, dir);
        const signal = await new Promise((resolve) => child?.once("exit", (_, by) => resolve(by)));
        assert.equal(signal, "SIGKILL", `request ${at}`);
        cloud.setTrouble(undefined);
        await setUp(cloud);
        assert.deepEqual(cloud.describe(), state, `request ${at}`);
        assert.ok(!cloud.asked.some((each) => each.startsWith("DELETE")));
      },
      4,
    );
  });

  test("a busy API is waited for as long as it asks", async (t) => {
    const cloud = await open(t);
    cloud.setTrouble((number) =>
      number === 3 ? { when: "before", status: 429, retryAfterSeconds: 1 } : null,
    );
    const before = performance.now();

    await setUp(cloud);

    assert.ok(performance.now() - before >= 900);
    assertAsWanted(cloud);
  });

  test("a bucket of a jurisdiction is asked for there, with queues of the same", async (t) => {
    const cloud = await open(t);
    await setUp(cloud, { jurisdiction: "eu" });

    assert.deepEqual(
      cloud.buckets.map(({ jurisdiction }) => jurisdiction),
      ["eu"],
    );
    assert.deepEqual(
      cloud.queues.map(({ jurisdiction }) => jurisdiction),
      ["eu", "eu"],
    );
  });
});

describe("an account that can't be set up is told in one message, and nothing is changed", () => {
  const rows: {
    what: string;
    prepare?: (cloud: Cloud) => void;
    more?: Parameters<typeof setUp>[1];
    options?: StandInOptions;
    says: RegExp;
    hint: RegExp;
  }[] = [
    {
      what: "the wrong account",
      more: { accountId: "f".repeat(32) },
      says: /refuses this token for R2 and for Queues/,
      hint: /CLOUDFLARE_ACCOUNT_ID.*Workers R2 Storage: Edit.*Queues: Edit/,
    },
    {
      what: "an account id that is none",
      more: { accountId: "my-account" },
      says: /no such account/,
      hint: /CLOUDFLARE_ACCOUNT_ID/,
    },
    {
      what: "a token nobody knows",
      more: { token: "mistyped" },
      says: /refuses this token/,
      hint: /give the token|CLOUDFLARE_API_TOKEN/,
    },
    {
      what: "a token without the right to R2",
      prepare: (cloud) => void cloud.tokens.set("half", ["queues"]),
      more: { token: "half" },
      says: /refuses this token .*right="Workers R2 Storage: Edit"/,
      hint: /Account · Workers R2 Storage: Edit/,
    },
    {
      what: "a token without the right to queues",
      prepare: (cloud) => void cloud.tokens.set("half", ["r2"]),
      more: { token: "half" },
      says: /refuses this token .*right="Queues: Edit"/,
      hint: /Account · Queues: Edit/,
    },
    {
      what: "an account that has no R2 yet",
      options: { isR2Enabled: false },
      says: /R2 is not enabled/,
      hint: /enable it once in the dashboard/,
    },
    {
      what: "a bucket in another jurisdiction",
      prepare: (cloud) => void cloud.addBucket("clipscribe", "eu"),
      says: /is in the jurisdiction eu, not in default/,
      hint: /CLOUDFLARE_JURISDICTION=eu/,
    },
    {
      what: "a queue of another jurisdiction",
      prepare: (cloud) => void cloud.addQueue("clipscribe-urgent", "us"),
      says: /clipscribe-urgent is in the jurisdiction us/,
      hint: /CLOUDFLARE_JURISDICTION=us/,
    },
    {
      what: "a queue that a worker consumes",
      prepare: (cloud) =>
        void cloud
          .addQueue("clipscribe-batch")
          .consumers.push({ consumer_id: "1", type: "worker", script: "resize" }),
      says: /clipscribe-batch has another consumer: worker resize/,
      hint: /remove that consumer/,
    },
    {
      what: "a queue that others send to",
      prepare: (cloud) =>
        void cloud.addQueue("clipscribe-batch").producers.push({ type: "worker", script: "shop" }),
      says: /clipscribe-batch takes messages of worker shop/,
      hint: /send elsewhere/,
    },
    {
      what: "a rule that overlaps ours, of somebody else's queue",
      prepare: (cloud) => {
        const queue = cloud.addQueue("theirs");
        cloud
          .addBucket("clipscribe")
          .rules.set(queue.queue_id, [{ ...OTHERS_RULE, prefix: "", suffix: ".mp4" }]);
      },
      says: /an event rule is in the way: \*\.mp4 to the queue theirs \(rule theirs\)/,
      hint: /overlaps inbox\/urgent\/\*|overlaps drops\/\*\.mp4/,
    },
    {
      what: "a lifecycle rule that would remove results",
      prepare: (cloud) =>
        void cloud.addBucket("clipscribe").lifecycle.push({
          id: "tidy",
          enabled: true,
          conditions: { prefix: "" },
          deleteObjectsTransition: { condition: { type: "Age", maxAge: 604_800 } },
        }),
      says: /the lifecycle rule "tidy" removes objects under ""/,
      hint: /disable that rule/,
    },
    {
      what: "a bucket with somebody else's objects",
      prepare: (cloud) => void cloud.addBucket("clipscribe"),
      more: { foreign: "photos/cat.jpg" },
      says: /holds objects that are not ClipScribe's, as "photos\/cat.jpg"/,
      hint: /name a bucket of its own/,
    },
  ];
  for (const { what, prepare, more, options, says, hint } of rows) {
    test(what, async (t) => {
      const cloud = await open(t, options);
      prepare?.(cloud);
      const before = cloud.describe();

      const error = await setUp(cloud, more).then(
        () => undefined,
        (thrown: unknown) => thrown,
      );

      assert.ok(isKind(error, "config", "denied"), String(error));
      assert.match(error.message, says);
      assert.match(error.hint ?? "", hint);
      assert.deepEqual(cloud.asked.filter(isWrite), []);
      assert.deepEqual(cloud.describe(), before);
    });
  }

  test("more kinds of files than R2 takes rules", () => {
    const accept = Array.from({ length: 60 }, (_, index) => `x${index}`);
    const needs = {
      accountId: "0".repeat(32),
      bucket: "clipscribe",
      jurisdiction: "default",
    } as const;
    assert.throws(() => wantedAccount({ ...needs, accept }), hasKind("config"));
  });
});

function assertAsWanted(cloud: Cloud): void {
  const [bucket] = cloud.buckets;
  const ranges = cloud.queues
    .flatMap(({ queue_id: id, queue_name: name }) =>
      (bucket?.rules.get(id) ?? []).map(({ prefix, suffix }) => `${name}: ${prefix}*${suffix}`),
    )
    .filter((range) => !range.includes("exports/"));
  assert.deepEqual(ranges.toSorted(), [
    "clipscribe-batch: drops/*.M4A",
    "clipscribe-batch: drops/*.MP4",
    "clipscribe-batch: drops/*.m4a",
    "clipscribe-batch: drops/*.mp4",
    "clipscribe-batch: inbox/batch/*",
    "clipscribe-urgent: inbox/urgent/*",
  ]);
  for (const { consumers } of cloud.queues) {
    assert.deepEqual(
      consumers.map(({ type }) => type),
      ["http_pull"],
    );
  }
  const ages = new Map(
    (
      (bucket?.lifecycle ?? []) as {
        id: string;
        deleteObjectsTransition?: { condition: { maxAge?: number } };
      }[]
    ).map(({ id, deleteObjectsTransition }) => [
      id,
      (deleteObjectsTransition?.condition.maxAge ?? 0) / 86_400,
    ]),
  );
  assert.equal(ages.get("clipscribe-sources"), 30);
  assert.equal(ages.get("clipscribe-drops"), 30);
  assert.equal(ages.get("clipscribe-blobs"), 90);
  assert.ok(ages.has("clipscribe-unfinished-uploads") && ages.has("Default Multipart Abort Rule"));
  assert.equal(bucket?.cors?.length, 1);
}

function isSame(a: unknown, b: unknown): boolean {
  try {
    assert.deepEqual(a, b);
    return true;
  } catch {
    return false;
  }
}

/** The real command line, with settings of its own. */
function startSetup(cloud: Cloud, cwd: string): ChildProcess {
  return spawn(process.execPath, [join(ROOT, "bin", "clipscribe.ts"), "cloud", "apply"], {
    cwd,
    env: {
      PATH: process.env["PATH"] ?? "",
      HOME: "/nonexistent",
      CLIPSCRIBE_STORE: "r2:clipscribe",
      CLOUDFLARE_ACCOUNT_ID: cloud.accountId,
      CLOUDFLARE_API_TOKEN: "setup-token",
      CLOUDFLARE_API_BASE_URL: cloud.baseUrl,
      CLIPSCRIBE_WEB_ORIGINS: "https://desk.example.org",
    },
    stdio: "ignore",
  });
}

async function inBatches<Case>(
  cases: readonly Case[],
  work: (each: Case) => Promise<void>,
  size = 24,
): Promise<void> {
  for (let at = 0; at < cases.length; at += size) {
    await Promise.all(cases.slice(at, at + size).map(work));
  }
}
