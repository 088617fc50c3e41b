import assert from "node:assert/strict";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";

import { simpleParser } from "mailparser";
import { SMTPServer } from "smtp-server";
import type { SMTPServerOptions } from "smtp-server";

import { hasKind } from "../../core/errors.ts";
import { describeNotifier } from "../../ports/notifier.contract.ts";
import type { Message } from "../../ports/notifier.ts";
import { openSmtpNotifier } from "./smtp-notifier.ts";
import { parseMailFrom, parseSmtpUrl } from "./smtp-settings.ts";

const FROM = "ClipScribe <clips@newsroom.example>";
const TO = "desk@newsroom.example";
const MESSAGE: Message = {
  id: "d".repeat(64),
  name: "job",
  subject: "ClipScribe: Job talks complete",
  text: "3 complete\n",
  html: "<p>3 complete</p>",
  body: "{}",
  createdAt: new Date("2026-11-25T06:00:00Z"),
};

interface Mailbox {
  url: string;
  mails: { raw: string; envelope: { from: string; to: string[] } }[];
}

async function startServer(t: TestContext, options: SMTPServerOptions = {}): Promise<Mailbox> {
  const mails: Mailbox["mails"] = [];
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ["STARTTLS"],
    logger: false,
    onData(stream, session, callback) {
      const chunks: Buffer[] = [];
      stream.on("data", (chunk: Buffer) => chunks.push(chunk));
      stream.on("end", () => {
        const raw = Buffer.concat(chunks);
        const { mailFrom, rcptTo } = session.envelope;
        const envelope = {
          from: mailFrom === false ? "" : mailFrom.address,
          to: rcptTo.map(({ address }) => address),
        };
        mails.push({ raw: raw.toString(), envelope });
        callback();
      });
    },
    ...options,
  });
  server.on("error", () => undefined);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
  t.after(() => new Promise<void>((resolve) => server.close(() => resolve())));
  const { port } = server.server.address() as AddressInfo;
  return { url: `smtp://127.0.0.1:${port}`, mails };
}

describeNotifier("smtp", async (t) => {
  const { url, mails } = await startServer(t);
  return {
    notifier: openSmtpNotifier({ url, from: FROM }),
    to: TO,
    received: async () =>
      Promise.all(
        mails.map(async ({ raw }) => {
          const mail = await simpleParser(raw);
          const [head = ""] = raw.split("\r\n\r\n");
          return {
            id: mail.messageId ?? "",
            subject: mail.subject ?? null,
            content: mail.text ?? "",
            headers: head.split(/\r\n(?!\s)/),
          };
        }),
      ),
  };
});

describe("mail", () => {
  test("it has both texts, a stable id and date, and the envelope of the settings", async (t) => {
    const { url, mails } = await startServer(t);

    await openSmtpNotifier({ url, from: FROM }).send(MESSAGE, TO);

    const [got] = mails;
    const mail = await simpleParser(got?.raw ?? "");
    assert.equal(mail.subject, MESSAGE.subject);
    assert.equal(mail.text?.trim(), "3 complete");
    assert.equal(mail.html, MESSAGE.html);
    assert.equal(mail.messageId, `<${MESSAGE.id}@newsroom.example>`);
    assert.equal(mail.date?.toISOString(), "2026-11-25T06:00:00.000Z");
    assert.deepEqual(got?.envelope, { from: "clips@newsroom.example", to: [TO] });
    assert.equal(mail.headers.get("auto-submitted"), "auto-generated");
  });

  test("an attachment or a path in a message is text, and nothing is read from the disk", async (t) => {
    const { url, mails } = await startServer(t);
    const evil = { path: "/etc/passwd" } as unknown as string;

    const sending = openSmtpNotifier({ url, from: FROM }).send({ ...MESSAGE, html: evil }, TO);

    await assert.rejects(sending, hasKind("transient", "contract", "config", "bug"));
    assert.ok(mails.every(({ raw }) => !raw.includes("root:")));
  });

  for (const to of [
    "a@example.org, b@example.org",
    "a@example.org\r\nRCPT TO:<b@example.org>",
    "Name <a@example.org>",
    "a@example.org SIZE=1",
    "-oQ/tmp@example.org\u0000",
    "group: a@example.org, b@example.org;",
    '"a b"@example.org',
    "no-at-sign",
    "",
  ]) {
    test(`${JSON.stringify(to)} is no address, and nobody gets anything`, async (t) => {
      const { url, mails } = await startServer(t);

      await assert.rejects(
        openSmtpNotifier({ url, from: FROM }).send(MESSAGE, to),
        hasKind("contract"),
      );
      assert.deepEqual(mails, []);
    });
  }

  test("a recipient that the server refuses is refused for good, one it defers is not", async (t) => {
    const refusing = (code: number) =>
      startServer(t, {
        onRcptTo: (_address, _session, callback) =>
          callback(Object.assign(new Error("no such user"), { responseCode: code })),
      });
    const gone = await refusing(550);
    const later = await refusing(451);

    await assert.rejects(
      openSmtpNotifier({ url: gone.url, from: FROM }).send(MESSAGE, TO),
      hasKind("contract"),
    );
    await assert.rejects(
      openSmtpNotifier({ url: later.url, from: FROM }).send(MESSAGE, TO),
      hasKind("transient"),
    );
  });

  test("a refused sender and a refused login wait for a person", async (t) => {
    const sender = await startServer(t, {
      onMailFrom: (_address, _session, callback) =>
        callback(Object.assign(new Error("not yours"), { responseCode: 550 })),
    });
    const login = await startServer(t, {
      authOptional: false,
      allowInsecureAuth: true,
      onAuth: (_auth, _session, callback) => callback(new Error("wrong")),
    });
    const url = login.url.replace("smtp://", "smtp://me:secret@");

    await assert.rejects(
      openSmtpNotifier({ url: sender.url, from: FROM }).send(MESSAGE, TO),
      hasKind("config"),
    );
    await assert.rejects(
      openSmtpNotifier({ url, from: FROM }).send(MESSAGE, TO),
      (error: Error) => {
        assert.ok(hasKind("denied")(error));
        assert.doesNotMatch(`${error.message}${error.hint ?? ""}`, /secret/);
        return true;
      },
    );
  });

  test("a login that works is used", async (t) => {
    const users: unknown[] = [];
    const { url, mails } = await startServer(t, {
      authOptional: false,
      allowInsecureAuth: true,
      onAuth: ({ username, password }, _session, callback) => {
        users.push([username, password]);
        callback(null, { user: username });
      },
    });
    const withLogin = url.replace("smtp://", "smtp://me%40newsroom:p%3Ass@");

    await openSmtpNotifier({ url: withLogin, from: FROM }).send(MESSAGE, TO);

    assert.deepEqual(users, [["me@newsroom", "p:ss"]]);
    assert.equal(mails.length, 1);
  });

  test("a server that says a byte at a time ends in its time", async (t) => {
    const server = createServer((socket) => {
      const drip = setInterval(() => socket.write("2"), 20);
      socket.on("error", () => undefined).on("close", () => clearInterval(drip));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    t.after(() => new Promise((resolve) => server.close(resolve)));
    const url = `smtp://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const startedMs = performance.now();

    const sending = openSmtpNotifier({ url, from: FROM, timeoutMs: 400 }).send(MESSAGE, TO);

    await assert.rejects(sending, hasKind("transient"));
    assert.ok(performance.now() - startedMs < 5_000);
  });

  test("nobody there is trouble that may pass", async () => {
    const sending = openSmtpNotifier({ url: "smtp://127.0.0.1:1", from: FROM }).send(MESSAGE, TO);

    await assert.rejects(sending, hasKind("transient"));
  });
});

describe("the settings of mail", () => {
  test("a URL gives host, port, login and encryption, and nothing more", () => {
    assert.deepEqual(parseSmtpUrl("smtps://me:p%40ss@mail.example.org"), {
      host: "mail.example.org",
      port: 465,
      secure: true,
      isOwnMachine: false,
      auth: { user: "me", pass: "p@ss" },
    });
    assert.equal(parseSmtpUrl("smtp://mail.example.org?ignoreTLS=true").isOwnMachine, false);
    assert.equal(parseSmtpUrl("smtp://mail.example.org").port, 587);
    assert.throws(() => parseSmtpUrl("http://mail.example.org"), hasKind("config"));
  });

  test("a sender is one address, with a name that ends no header", () => {
    assert.deepEqual(parseMailFrom("Clips <a@example.org>"), {
      name: "Clips",
      address: "a@example.org",
    });
    assert.equal(parseMailFrom("x\r\nBcc: b <a@example.org>").name, "x Bcc: b");
    for (const bad of ["a@example.org, b@example.org", "nobody", "<a@example.org>\r\nX: 1"]) {
      assert.throws(() => parseMailFrom(bad), hasKind("config"), bad);
    }
  });
});
