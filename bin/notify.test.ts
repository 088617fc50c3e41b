import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";

import { simpleParser } from "mailparser";
import { SMTPServer } from "smtp-server";
import { Webhook } from "standardwebhooks";

import { makeHome } from "../bench/campaign-world.ts";
import { sha256Of } from "../core/digest.ts";
import { Digest, JobManifest } from "../core/message-records.ts";

const SECRET = `whsec_${Buffer.from("0123456789abcdef0123456789abcdef").toString("base64")}`;
const ENTRY = join(import.meta.dirname, "clipscribe.ts");

interface World {
  dir: string;
  inbox: string;
  results: string;
  clipscribe(
    args: readonly string[],
    env?: Record<string, string>,
  ): Promise<{ code: number | null; stdout: string; stderr: string }>;
}

function openWorld(t: TestContext, items: number): World {
  const home = makeHome({ stages: 1, items });
  t.after(() => home.remove());
  return {
    dir: home.dir,
    inbox: home.inbox,
    results: home.results,
    async clipscribe(args, env = {}) {
      const child = spawn(process.execPath, [ENTRY, ...args], {
        cwd: home.dir,
        env: {
          PATH: process.env["PATH"],
          HOME: home.dir,
          CLIPSCRIBE_HOME: home.home,
          CLIPSCRIBE_ALLOW_PRIVATE: "webhook",
          CLIPSCRIBE_WEBHOOK_SECRET: SECRET,
          ...env,
        },
        stdio: ["ignore", "pipe", "pipe"],
      });
      let stdout = "";
      let stderr = "";
      child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
      child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
      const code = await new Promise<number | null>((resolve) => child.on("close", resolve));
      return { code, stdout, stderr };
    },
  };
}

async function startMailbox(t: TestContext) {
  const mails: Buffer[] = [];
  const server = new SMTPServer({
    authOptional: true,
    logger: false,
    onData(stream, _session, callback) {
      const chunks: Buffer[] = [];
      stream.on("data", (chunk: Buffer) => chunks.push(chunk));
      stream.on("end", () => {
        mails.push(Buffer.concat(chunks));
        callback();
      });
    },
  });
  server.on("error", () => undefined);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
  t.after(() => new Promise<void>((resolve) => server.close(() => resolve())));
  const { port } = server.server.address() as AddressInfo;
  return { url: `smtp://127.0.0.1:${port}`, mails };
}

async function startHook(t: TestContext) {
  const received: { headers: Record<string, string>; body: string }[] = [];
  const answers: number[] = [];
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (chunk: Buffer) => (body += chunk.toString()));
    request.on("end", () => {
      received.push({ headers: request.headers as Record<string, string>, body });
      response.writeHead(answers.shift() ?? 200).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`;
  return { url, received, answers };
}

const run = (w: World, ...more: string[]): string[] => [
  ...["run", w.inbox, "--pipeline", join(w.dir, "pipeline.yaml"), "--quiet"],
  ...more,
];

function jobOf(w: World): string {
  return readdirSync(w.results)[0] ?? "";
}

describe("the end of a job, as a person meets it", () => {
  test("a folder of files has a digest beside its items, and a message in a file", async (t) => {
    const w = openWorld(t, 3);

    const { code } = await w.clipscribe(run(w));

    assert.equal(code, 0);
    const folder = join(w.results, jobOf(w));
    const digest = Digest.parse(JSON.parse(readFileSync(join(folder, "digest.json"), "utf8")));
    assert.equal(digest.counts.complete, 3);
    const manifest = readFileSync(join(folder, "manifest.json"), "utf8");
    for (const { path, sha256 } of JobManifest.parse(JSON.parse(manifest)).files) {
      assert.equal(sha256Of(readFileSync(join(folder, path))), sha256);
    }
    for (const { report } of digest.items) assert.ok(existsSync(join(folder, report ?? "")));
    const messages = readdirSync(join(w.dir, "home", "messages"));
    assert.equal(messages.length, 1);
    const text = readFileSync(join(w.dir, "home", "messages", messages[0] ?? ""), "utf8");
    assert.match(text, new RegExp(`^ClipScribe: Job ${digest.job_id} complete\n`));
    assert.equal((await w.clipscribe(["verify", folder])).code, 0);
    assert.equal((await w.clipscribe(["audit"])).code, 0);
  });

  test("a single file has none of it", async (t) => {
    const w = openWorld(t, 1);

    await w.clipscribe(run(w));

    assert.ok(!existsSync(join(w.results, jobOf(w), "digest.json")));
    assert.ok(!existsSync(join(w.dir, "home", "messages")));
    assert.ok(!existsSync(join(w.dir, "home", "store", "outbox")));
  });

  test("what a person changed in a digest stays beside the new one", async (t) => {
    const w = openWorld(t, 2);
    await w.clipscribe(run(w));
    const folder = join(w.results, jobOf(w));
    writeFileSync(join(folder, "digest.md"), "my own notes\n");

    const { code } = await w.clipscribe(run(w, "--again"));

    assert.equal(code, 0);
    assert.equal(readFileSync(join(folder, "digest.mine.md"), "utf8"), "my own notes\n");
    assert.match(readFileSync(join(folder, "digest.md"), "utf8"), /^# Job/);
  });

  test("--notify tells by mail and by webhook, once each, before the command ends", async (t) => {
    const w = openWorld(t, 1);
    const mailbox = await startMailbox(t);
    const hook = await startHook(t);
    const env = {
      CLIPSCRIBE_SMTP_URL: mailbox.url,
      CLIPSCRIBE_MAIL_FROM: "Clips <c@news.example>",
    };

    await w.clipscribe(run(w, "--notify", "desk@news.example", "--notify", hook.url), env);

    const job = jobOf(w);
    assert.equal(mailbox.mails.length, 1);
    const mail = await simpleParser(mailbox.mails[0] ?? "");
    assert.equal(mail.subject, `ClipScribe: Job ${job} complete`);
    assert.match(mail.text ?? "", new RegExp(`clipscribe batch fetch ${job}`));
    assert.equal(hook.received.length, 1);
    const [{ body, headers } = { body: "", headers: {} }] = hook.received;
    const event = new Webhook(SECRET).verify(body, headers) as Record<string, unknown>;
    assert.deepEqual(
      [event["event"], event["job_id"], event["video_count"], event["cost"]],
      ["job.complete", job, 1, 0],
    );
    assert.match(String(event["results_url"]), new RegExp(`^file://.*/${job}/$`));
  });

  test("who can't be told is said before anything runs", async (t) => {
    const w = openWorld(t, 1);

    const { code, stderr, stdout } = await w.clipscribe(run(w, "--notify", "a@b.c, d@e.f"));

    assert.equal(code, 2);
    assert.match(stdout + stderr, /give one mail address/);
    assert.ok(!existsSync(w.results));
  });

  test("a receiver that fails keeps the message waiting; `notify send` sends it", async (t) => {
    const w = openWorld(t, 1);
    const hook = await startHook(t);
    hook.answers.push(503);
    await w.clipscribe(run(w, "--notify", hook.url));

    const audited = await w.clipscribe(["audit"]);
    const listed = await w.clipscribe(["notify", "list"]);
    const sent = await w.clipscribe(["notify", "send"]);

    assert.match(audited.stdout, /a message waits after 1 tries: .*503/);
    assert.match(listed.stdout, /waiting webhook .*503/);
    assert.equal(sent.code, 0);
    assert.match(sent.stdout, /1 sent/);
    const ids = hook.received.map(({ headers }) => headers["webhook-id"]);
    assert.equal(ids.length, 2);
    assert.equal(new Set(ids).size, 1);
  });

  test("a receiver that is gone is shown with the dead, and can be taken up again", async (t) => {
    const w = openWorld(t, 1);
    const hook = await startHook(t);
    hook.answers.push(410);
    await w.clipscribe(run(w, "--notify", hook.url));
    const job = jobOf(w);

    const dead = await w.clipscribe(["dead"]);
    const blocked = await w.clipscribe(["notify", "send", job]);
    const tries = hook.received.length;
    const tried = await w.clipscribe(["notify", "test", "--webhook", hook.url]);
    const sent = await w.clipscribe(["notify", "send", job]);
    const after = await w.clipscribe(["dead"]);

    assert.match(dead.stdout, new RegExp(`${job} .* message to ${hook.url}: .*410`));
    assert.equal(blocked.code, 3);
    assert.equal(tries, 1);
    assert.equal(tried.code, 0);
    assert.match(sent.stdout, /1 sent/);
    assert.equal(hook.received.length, 3);
    assert.match(after.stdout, /nothing has failed/);
  });

  test("`notify test` says what is not set up, what is refused, and what works", async (t) => {
    const w = openWorld(t, 1);
    const mailbox = await startMailbox(t);
    const env = { CLIPSCRIBE_SMTP_URL: mailbox.url, CLIPSCRIBE_MAIL_FROM: "c@news.example" };

    const unset = await w.clipscribe(["notify", "test", "--email", "a@news.example"]);
    const wrong = await w.clipscribe(["notify", "test", "--email", "a@news.example,b@c.d"], env);
    const inside = await w.clipscribe(["notify", "test", "--webhook", "https://127.0.0.1/"], {
      CLIPSCRIBE_ALLOW_PRIVATE: "",
    });
    const works = await w.clipscribe(["notify", "test", "--email", "a@news.example"], env);
    const file = await w.clipscribe(["notify", "test", "--json"]);

    assert.equal(unset.code, 2);
    assert.match(unset.stdout, /CLIPSCRIBE_SMTP_URL is not set/);
    assert.equal(wrong.code, 2);
    assert.equal(inside.code, 8);
    assert.match(inside.stdout, /private network/);
    assert.equal(works.code, 0);
    assert.equal(mailbox.mails.length, 1);
    assert.deepEqual(
      (JSON.parse(file.stdout) as { sent: { channel: string }[] }).sent.map((each) => each.channel),
      ["file"],
    );
  });
});
