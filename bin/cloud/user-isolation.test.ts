/** A user sees only their own prefix: by credentials that the emulator verifies as R2 documents it. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";

import { openR2Store } from "../../adapters/r2/r2-store.ts";
import { createRenewingKeys } from "../../adapters/r2/renewing-keys.ts";
import { runCredentialsCommand } from "../../adapters/system/credentials-command.ts";
import { hasKind } from "../../core/errors.ts";
import { ItemId, JobId, RunnerId, Sha256, UserId } from "../../core/ids.ts";
import { keysOf, parseObjectKey, prefixesOf, systemKeys } from "../../core/keys.ts";
import type { ObjectKey } from "../../core/keys.ts";
import { openEmulator } from "../../emulator/emulator.ts";
import type { Emulator } from "../../emulator/emulator.ts";
import type { ObjectStore } from "../../ports/object-store.ts";
import { openBackend } from "../backend.ts";
import { openLog } from "../log.ts";
import { main } from "../main.ts";
import { readSettings } from "../settings.ts";
import type { SessionCredentials } from "../../core/session-credentials.ts";
import { mintUserCredentials } from "./cloud-credentials.ts";
import { captureIo } from "../../samples/captured-io.ts";
import type { CapturedIo } from "../../samples/captured-io.ts";

const ANNA = UserId.parse("anna");
const BOB = UserId.parse("bob");
const BODY = Buffer.from("what was said");
const HOUR_S = 3_600;

async function world(t: TestContext) {
  const dir = mkdtempSync(join(tmpdir(), "clipscribe-isolation-"));
  // The clock of whoever holds keys; requests are signed with the real one.
  let offset = 0;
  const now = (): number => Date.now() + offset;
  const emulator = await openEmulator({ dir: join(dir, "cloud") });
  const opened: Disposable[] = [];
  t.after(async () => {
    for (const each of opened) each[Symbol.dispose]();
    await emulator[Symbol.asyncDispose]();
    rmSync(dir, { recursive: true, force: true });
  });
  const { address } = emulator;
  const place = {
    accountId: address.account_id,
    bucket: address.bucket,
    jurisdiction: "default" as const,
    endpoint: address.s3_endpoint,
    keys: { accessKeyId: address.access_key_id, secretAccessKey: address.secret_access_key },
  };
  const open = (keys: { accessKeyId: string; secretAccessKey: string }): ObjectStore => {
    const store = openR2Store({
      endpoint: place.endpoint,
      bucket: place.bucket,
      minWriteIntervalMs: 0,
      etags: "md5",
      ...keys,
    });
    opened.push(store);
    return store;
  };
  const mint = (user: string, ttlSeconds = HOUR_S) =>
    mintUserCredentials(place, { user, ttlSeconds }, new Date());
  return { dir, emulator, place, open, mint, opened, now, pass: (ms: number) => (offset += ms) };
}

/** One key of every kind that a user has. */
function everyKey(user: UserId): ObjectKey[] {
  const keys = keysOf(user);
  const job = JobId.parse("20261125-1000-hearing-7f3a");
  const item = ItemId.parse("hearing");
  const sha = Sha256.parse("a".repeat(64));
  return [
    keys.ticket("urgent", job, item, 1),
    keys.ticket("batch", job, item, 1),
    keys.source(sha, "mp4"),
    keys.metadata(job),
    keys.item(job, item),
    keys.item(job, "_job"),
    keys.log(job, item, 1),
    keys.status(job),
    keys.result(job, item, "report.html"),
    keys.cache(sha),
    keys.blob(sha),
    keys.dead(job, item),
    keys.outbox(job, sha),
    keys.message(job, sha),
    keys.deadMessage(job, sha),
    keys.jobResult(job, "digest.md"),
    keys.jobBudget(job),
    keys.budget(new Date(0)),
    parseObjectKey(`drops/${user}/talk.mp4`),
  ];
}

async function listAll(store: ObjectStore, prefix: string): Promise<string[]> {
  const found: string[] = [];
  for await (const { key } of store.list(prefix)) found.push(key);
  return found;
}

describe("a user sees only their own prefix", () => {
  test("every key that a user has lies under the prefixes of their credentials, and no other's does", () => {
    const prefixes = prefixesOf(ANNA);
    const isIn = (key: string): boolean => prefixes.some((prefix) => key.startsWith(prefix));

    assert.deepEqual(
      everyKey(ANNA).filter((key) => !isIn(key)),
      [],
    );
    // `anna` is not the beginning of `annabel`: prefixes end with a slash.
    for (const other of [BOB, UserId.parse("annabel"), UserId.parse("an")]) {
      assert.deepEqual(everyKey(other).filter(isIn), []);
    }
  });

  test("reads, writes, lists, copies and deletes what is theirs", async (t) => {
    const { open, mint } = await world(t);
    const anna = open(mint("anna").own);
    for (const key of everyKey(ANNA)) {
      await anna.put(key, BODY, { ifMatch: null });
      assert.deepEqual(Buffer.from((await anna.get(key)).body), BODY);
    }
    for (const prefix of prefixesOf(ANNA)) assert.ok((await listAll(anna, prefix)).length > 0);
    const [first, second] = everyKey(ANNA) as [ObjectKey, ObjectKey];
    const upload = await anna.createUpload(first);
    const part = await anna.putPart(first, upload, 1, BODY);
    await anna.completeUpload(first, upload, [part]);
    await anna.copy(first, second);
    await anna.delete(first);
    assert.equal(await anna.head(first), undefined);
    const url = await anna.presign(second, "get", 60);
    assert.equal(await (await fetch(url)).text(), BODY.toString());
  });

  test("is refused everything of others', of the runners', and the bucket as a whole", async (t) => {
    const { open, mint, place } = await world(t);
    const admin = open(place.keys);
    const anna = open(mint("anna").own);
    const [mine] = everyKey(ANNA) as [ObjectKey];
    await admin.put(mine, BODY);
    const theirs = [...everyKey(BOB), systemKeys.sweep, systemKeys.pipelineCurrent];
    for (const key of theirs) await admin.put(key, BODY);

    for (const key of theirs) {
      const tries: [string, () => Promise<unknown>][] = [
        ["get", async () => anna.get(key)],
        ["head", async () => anna.head(key)],
        ["put", async () => anna.put(key, Buffer.from("forged"))],
        ["put if absent", async () => anna.put(key, Buffer.from("forged"), { ifMatch: null })],
        ["copy from", async () => anna.copy(key, mine)],
        ["copy to", async () => anna.copy(mine, key)],
        ["upload", async () => anna.createUpload(key)],
        ["delete", async () => anna.delete(key)],
        ["list", async () => listAll(anna, key.slice(0, key.lastIndexOf("/") + 1))],
      ];
      for (const [what, attempt] of tries) {
        await assert.rejects(attempt(), hasKind("denied"), `${what} ${key}`);
      }
      const presigned = await fetch(await anna.presign(key, "get", 60));
      assert.equal(presigned.status, 403, `presigned ${key}`);
      assert.deepEqual(Buffer.from((await admin.get(key)).body), BODY);
    }
    for (const prefix of ["", "inbox/", "results/", "results/an", "sys/", "pipelines/"]) {
      await assert.rejects(listAll(anna, prefix), hasKind("denied"), `list ${prefix}`);
    }
  });

  test("reads the pipelines with the credentials for it, and can't push one", async (t) => {
    const { open, mint, place } = await world(t);
    await open(place.keys).put(systemKeys.pipelineCurrent, BODY);
    const reader = open(mint("anna").common["pipelines/"]);

    assert.deepEqual(Buffer.from((await reader.get(systemKeys.pipelineCurrent)).body), BODY);
    await assert.rejects(reader.put(systemKeys.pipelineCurrent, BODY), hasKind("denied"));
    await assert.rejects(reader.delete(systemKeys.pipelineCurrent), hasKind("denied"));
    const [mine] = everyKey(ANNA) as [ObjectKey];
    await assert.rejects(reader.get(mine), hasKind("denied"));
  });

  test("pushes pipelines with credentials that say so, and reaches nothing more by them", async (t) => {
    const { open, place } = await world(t);
    const wish = { user: "anna", ttlSeconds: 600, mayPush: true };
    const { common, own } = mintUserCredentials(place, wish, new Date());
    const pusher = open(common["pipelines/"]);
    await pusher.put(systemKeys.pipelineCurrent, BODY, { ifMatch: null });

    for (const key of [...everyKey(ANNA), ...everyKey(BOB), systemKeys.sweep]) {
      await assert.rejects(pusher.put(key, BODY), hasKind("denied"), key);
    }
    await assert.rejects(open(own).put(systemKeys.pipelineCurrent, BODY), hasKind("denied"));
  });

  test("sees that a runner lives, and not what it works on", async (t) => {
    const { open, mint, place } = await world(t);
    const record = systemKeys.runner(RunnerId.parse("desk-1-aaaaaaaa"));
    await open(place.keys).put(record, BODY);
    const watcher = open(mint("anna").common["sys/runners/"]);

    assert.deepEqual(await listAll(watcher, systemKeys.runners), [record]);
    await assert.rejects(watcher.get(record), hasKind("denied"));
    await assert.rejects(watcher.head(record), hasKind("denied"));
    await assert.rejects(watcher.put(record, BODY), hasKind("denied"));
    await assert.rejects(listAll(watcher, "sys/"), hasKind("denied"));
  });

  test("forged, borrowed and expired credentials open nothing", async (t) => {
    const { open, mint, place } = await world(t);
    const { own } = mint("anna", 600);
    const [mine] = everyKey(ANNA) as [ObjectKey];
    await open(own).put(mine, BODY);
    const jwt = Buffer.from(own.sessionToken, "base64").toString().slice(4);
    const [head = "", body = "", signature = ""] = jwt.split(".");
    const rewrite = (change: (claims: Record<string, unknown>) => void, header = head) => {
      const claims = JSON.parse(Buffer.from(body, "base64url").toString()) as Record<
        string,
        unknown
      >;
      change(claims);
      const forged = `jwt/${header}.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.${signature}`;
      return { ...own, sessionToken: Buffer.from(forged).toString("base64") };
    };
    const none = Buffer.from('{"alg":"none"}').toString("base64url");
    const others = { ...place, bucket: "another" };
    const forgeries: [string, SessionCredentials][] = [
      ["other prefixes", rewrite((claims) => (claims["paths"] = { prefixPaths: [""] }))],
      ["a longer life", rewrite((claims) => (claims["exp"] = Number(claims["exp"]) + 9e6))],
      ["no signature", rewrite(() => undefined, none)],
      [
        "another bucket's",
        mintUserCredentials(others, { user: "anna", ttlSeconds: 600 }, new Date()).own,
      ],
      ["no token", { ...own, sessionToken: "" }],
      ["noise", { ...own, sessionToken: "bm9pc2U=" }],
    ];
    for (const [what, keys] of forgeries) {
      await assert.rejects(open(keys).get(mine), hasKind("denied"), what);
    }
    const before = new Date(Date.now() - 61_000);
    const expired = mintUserCredentials(place, { user: "anna", ttlSeconds: 60 }, before).own;
    await assert.rejects(open(expired).get(mine), hasKind("denied"));
  });
});

describe("credentials that are renewed", () => {
  test("are fetched once for many requests, and again before they expire", async (t) => {
    const { mint, pass, place, opened, now } = await world(t);
    let fetched = 0;
    const keys = createRenewingKeys({
      now,
      renew: async () => {
        fetched++;
        return mint("anna").own;
      },
    });
    const { endpoint, bucket } = place;
    const store = openR2Store({ endpoint, bucket, keys, minWriteIntervalMs: 0, etags: "md5" });
    opened.push(store);
    const [mine] = everyKey(ANNA) as [ObjectKey];
    await Promise.all(Array.from({ length: 8 }, async () => store.put(mine, BODY)));
    assert.equal(fetched, 1);

    pass(54 * 60_000);
    await store.get(mine);
    assert.equal(fetched, 1);
    pass(2 * 60_000);
    await store.get(mine);
    assert.equal(fetched, 2, "renewed in the last five minutes of an hour");
  });

  test("a refusal of fresh ones is told at once, without asking again and again", async (t) => {
    const { mint, place, opened } = await world(t);
    let fetched = 0;
    const renew = async () => {
      fetched++;
      return mint("anna").own;
    };
    const { endpoint, bucket } = place;
    const keys = createRenewingKeys({ renew });
    const store = openR2Store({ endpoint, bucket, keys, minWriteIntervalMs: 0, etags: "md5" });
    opened.push(store);

    for (let turn = 0; turn < 3; turn++) {
      await assert.rejects(store.get(systemKeys.sweep), hasKind("denied"));
    }
    assert.equal(fetched, 1);
  });

  /** The first keys that are fetched are revoked, the later ones are good. */
  async function openRevoked(t: TestContext) {
    const { mint, place, opened, pass, now } = await world(t);
    const good = mint("anna").own;
    let fetched = 0;
    const renew = async () => (fetched++ === 0 ? { ...good, secretAccessKey: "revoked" } : good);
    const { endpoint, bucket } = place;
    const keys = createRenewingKeys({ renew, now });
    const store = openR2Store({ endpoint, bucket, keys, minWriteIntervalMs: 0, etags: "md5" });
    opened.push(store);
    return { store, keys, pass, fetched: () => fetched };
  }

  test("keys that were revoked are replaced, and the request is made again", async (t) => {
    const { store, pass, fetched } = await openRevoked(t);
    const [mine] = everyKey(ANNA) as [ObjectKey];
    await assert.rejects(store.put(mine, BODY), hasKind("denied"));
    pass(20_000);

    await store.put(mine, BODY);

    assert.equal(fetched(), 2);
  });

  test("many requests that are refused at once are all made again, by one fetch", async (t) => {
    const { store, keys, pass, fetched } = await openRevoked(t);
    await keys.current();
    pass(20_000);

    await Promise.all(everyKey(ANNA).map(async (key) => store.put(key, BODY)));
    await Promise.all(everyKey(ANNA).map(async (key) => store.head(key)));

    assert.equal(fetched(), 2);
  });

  test("come from a command through settings, for the user's prefixes and for pipelines", async (t) => {
    const { dir, emulator, open, place } = await world(t);
    await open(place.keys).put(systemKeys.pipelineCurrent, BODY);
    const command = await writeCommand(dir, emulator, ["--user", "anna"]);
    const { io } = captureAt(dir, {
      CLIPSCRIBE_STORE: `r2:${place.bucket}`,
      CLIPSCRIBE_USER: "anna",
      R2_ENDPOINT: place.endpoint,
      CLIPSCRIBE_CREDENTIALS_COMMAND: command,
    });
    const settings = await readSettings(io);
    const log = openLog({ write: () => undefined, format: "json", level: "error" });
    await using backend = await openBackend(settings, log);
    const [mine] = everyKey(ANNA) as [ObjectKey];

    await backend.store.put(mine, BODY);
    assert.deepEqual(Buffer.from((await backend.store.get(mine)).body), BODY);
    assert.deepEqual(Buffer.from((await backend.store.get(systemKeys.pipelineCurrent)).body), BODY);
    await assert.rejects(backend.store.put(systemKeys.pipelineCurrent, BODY), hasKind("denied"));
    await assert.rejects(
      backend.store.get(keysOf(BOB).status(JobId.parse("a"))),
      hasKind("denied"),
    );
  });

  test("a command that fails, hangs on nothing or prints noise is told in one message, without a secret", async (t) => {
    const dir = mkdtempSync(join(tmpdir(), "clipscribe-command-"));
    t.after(() => rmSync(dir, { recursive: true, force: true }));
    const script = join(dir, "command.mjs");
    const rows: [string, RegExp][] = [
      ["console.error('no such host'); process.exit(255)", /no such host/],
      ['console.log(\'{"SecretAccessKey":"hunter2"}\')', /something that is no credentials/],
      ["console.log(JSON.stringify(process.env)); process.exit(1)", /it ended with 1/],
    ];
    for (const [code, says] of rows) {
      writeFileSync(script, code);
      const env = { PATH: process.env["PATH"], R2_SECRET_ACCESS_KEY: "hunter2" };
      await assert.rejects(runCredentialsCommand(`${process.execPath} ${script}`, env), (error) => {
        assert.ok(hasKind("denied")(error));
        assert.match(error.message, says);
        assert.doesNotMatch(error.message, /hunter2/);
        return true;
      });
    }
    const seen = join(dir, "seen.json");
    const spy = `import { writeFileSync } from "node:fs"; writeFileSync(${JSON.stringify(seen)}, JSON.stringify(process.env));`;
    writeFileSync(script, spy);
    const env = { PATH: process.env["PATH"], R2_SECRET_ACCESS_KEY: "hunter2", XAI_API_KEY: "k" };
    await assert.rejects(runCredentialsCommand(`${process.execPath} ${script}`, env));
    assert.doesNotMatch(readFileSync(seen, "utf8"), /hunter2|XAI/);
    await assert.rejects(runCredentialsCommand("no-such-program", {}), hasKind("denied"));
  });

  test("nobody makes them for a name that is no user's, or for longer than a week", async (t) => {
    const { mint } = await world(t);
    for (const name of ["", "../bob", "Bob", "a/b", "-a"]) {
      assert.throws(() => mint(name), hasKind("config"), name);
    }
    assert.throws(() => mint("anna", 604_801), hasKind("config"));
    assert.throws(() => mint("anna", 1), hasKind("config"));
  });
});

function captureAt(dir: string, env: Record<string, string>): CapturedIo {
  return captureIo({ env: { HOME: dir, PATH: process.env["PATH"], ...env }, cwd: dir });
}

/** What ssh would run on the server: the real command line, with the long-lived keys. */
async function writeCommand(dir: string, { address }: Emulator, args: string[]): Promise<string> {
  const heard = captureAt(dir, {
    CLIPSCRIBE_STORE: `r2:${address.bucket}`,
    CLOUDFLARE_ACCOUNT_ID: address.account_id,
    R2_ENDPOINT: address.s3_endpoint,
    R2_ACCESS_KEY_ID: address.access_key_id,
    R2_SECRET_ACCESS_KEY: address.secret_access_key,
  });
  assert.equal(await main(["cloud", "credentials", "--json", ...args], heard.io), 0);
  const file = join(dir, "print.mjs");
  writeFileSync(file, `console.log(${JSON.stringify(heard.stdout)})`);
  return `${process.execPath} ${file}`;
}
