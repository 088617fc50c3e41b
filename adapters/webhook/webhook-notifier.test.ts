import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { IncomingHttpHeaders, RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";

import { Webhook, WebhookVerificationError } from "standardwebhooks";

import { hasKind } from "../../core/errors.ts";
import { describeNotifier } from "../../ports/notifier.contract.ts";
import type { Message, Notifier } from "../../ports/notifier.ts";
import { parseSecrets } from "./sign-webhook.ts";
import { openWebhookNotifier } from "./webhook-notifier.ts";
import type { WebhookOptions } from "./webhook-notifier.ts";

const SECRET = `whsec_${Buffer.from("0123456789abcdef0123456789abcdef").toString("base64")}`;
const OTHER = `whsec_${Buffer.from("fedcba9876543210fedcba9876543210").toString("base64")}`;
const MESSAGE: Message = {
  id: "c".repeat(64),
  name: "job",
  subject: "s",
  text: "t",
  html: "h",
  body: '{"event":"job.complete","note":"ünïcode"}',
  createdAt: new Date(),
};

interface Hook {
  url: string;
  received: { headers: IncomingHttpHeaders; body: string }[];
}

async function startHook(t: TestContext, answer: RequestListener): Promise<Hook> {
  const received: Hook["received"] = [];
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (chunk: Buffer) => (body += chunk.toString()));
    request.on("end", () => {
      received.push({ headers: request.headers, body });
      answer(request, response);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`, received };
}

const ok: RequestListener = (_request, response) => void response.writeHead(204).end();

function open(t: TestContext, options: Partial<WebhookOptions> = {}): Notifier {
  const notifier = openWebhookNotifier({
    secret: SECRET,
    allowPrivate: true,
    clock: { now: () => new Date() },
    version: "0",
    ...options,
  });
  t.after(async () => notifier[Symbol.asyncDispose]());
  return notifier;
}

describeNotifier("webhook", async (t) => {
  const hook = await startHook(t, ok);
  return {
    notifier: open(t),
    to: hook.url,
    received: () =>
      Promise.resolve(
        hook.received.map(({ headers, body }) => ({
          id: String(headers["webhook-id"]),
          subject: null,
          content: body,
          headers: Object.entries(headers).map(([name, value]) => `${name}: ${String(value)}`),
        })),
      ),
  };
});

describe("a webhook", () => {
  test("the reference library verifies it, and refuses other bytes, ids and secrets", async (t) => {
    const hook = await startHook(t, ok);

    await open(t).send(MESSAGE, hook.url);

    const [got = { headers: {}, body: "" }] = hook.received;
    const headers = got.headers as Record<string, string>;
    const verifier = new Webhook(SECRET);
    assert.deepEqual(verifier.verify(got.body, headers), JSON.parse(MESSAGE.body));
    const refused = (body: string, changed: Record<string, string>, secret = SECRET): void => {
      const verify = () => new Webhook(secret).verify(body, { ...headers, ...changed });
      assert.throws(verify, WebhookVerificationError);
    };
    refused(`${got.body} `, {});
    refused(got.body, { "webhook-id": "msg_other" });
    refused(got.body, {}, OTHER);
  });

  test("a replay, five minutes later, is refused by the reference library", async (t) => {
    const hook = await startHook(t, ok);
    const sixMinutesAgo = new Date(Date.now() - 6 * 60_000);

    await open(t, { clock: { now: () => sixMinutesAgo } }).send(MESSAGE, hook.url);

    const [got = { headers: {}, body: "" }] = hook.received;
    assert.throws(
      () => new Webhook(SECRET).verify(got.body, got.headers as Record<string, string>),
      /too old/,
    );
  });

  test("while a secret is replaced, both the old and the new one verify", async (t) => {
    const hook = await startHook(t, ok);

    await open(t, { secret: `${OTHER} ${SECRET}` }).send(MESSAGE, hook.url);

    const [got = { headers: {}, body: "" }] = hook.received;
    for (const secret of [SECRET, OTHER]) {
      new Webhook(secret).verify(got.body, got.headers as Record<string, string>);
    }
  });

  for (const [status, kind] of [
    [410, "missing"],
    [404, "transient"],
    [429, "transient"],
    [500, "transient"],
    [401, "denied"],
    [302, "config"],
  ] as const) {
    test(`an answer ${status} is ${kind}`, async (t) => {
      const hook = await startHook(t, (_request, response) => {
        response.writeHead(status, { location: "http://127.0.0.1:1/elsewhere" }).end();
      });

      await assert.rejects(open(t).send(MESSAGE, hook.url), hasKind(kind));
      assert.equal(hook.received.length, 1);
    });
  }

  test("a redirect is not followed", async (t) => {
    const inside = await startHook(t, ok);
    const hook = await startHook(t, (_request, response) => {
      response.writeHead(307, { location: inside.url }).end();
    });

    await assert.rejects(open(t).send(MESSAGE, hook.url), hasKind("config"));
    assert.deepEqual(inside.received, []);
  });

  for (const url of [
    "https://127.0.0.1/hook",
    "https://[::1]/hook",
    "https://[::ffff:127.0.0.1]/hook",
    "https://169.254.169.254/latest/meta-data",
    "https://0x7f.1/hook",
    "https://2130706433/hook",
    "https://10.0.0.8/hook",
  ]) {
    test(`${url} is a private address, and refused`, async (t) => {
      await assert.rejects(open(t, { allowPrivate: false }).send(MESSAGE, url), hasKind("denied"));
    });
  }

  test("a name that points into the private network is refused where it is connected to", async (t) => {
    const hook = await startHook(t, ok);
    let lookups = 0;
    const resolve: WebhookOptions["resolve"] = (_host, _options, callback) => {
      lookups++;
      // One public address beside it does not help.
      callback(null, [
        { address: "203.0.113.9", family: 4 },
        { address: "127.0.0.1", family: 4 },
      ]);
    };
    const notifier = open(t, { allowPrivate: false, resolve });
    const { port } = new URL(hook.url);

    const sending = notifier.send(MESSAGE, `https://rebinding.example.org:${port}/hook`);

    await assert.rejects(sending, hasKind("denied"));
    assert.equal(lookups, 1);
    assert.deepEqual(hook.received, []);
  });

  test("what was resolved is what is connected to: no second look-up decides", async (t) => {
    const hook = await startHook(t, ok);
    let lookups = 0;
    const resolve: WebhookOptions["resolve"] = (_host, _options, callback) => {
      lookups++;
      callback(null, [{ address: "127.0.0.1", family: 4 }]);
    };
    const { port } = new URL(hook.url);

    await open(t, { resolve }).send(MESSAGE, `http://receiver.example.org:${port}/hook`);

    assert.equal(lookups, 1);
    assert.equal(hook.received[0]?.headers.host, `receiver.example.org:${port}`);
  });

  for (const url of [
    "http://example.org/hook",
    "ftp://example.org/",
    "file:///etc/passwd",
    "javascript:alert(1)",
    "https://user:pass@example.org/",
    "https://example.org/\r\nX-Evil: 1",
    "not an address",
  ]) {
    test(`${JSON.stringify(url)} can't be an address`, async (t) => {
      const sending = open(t, { allowPrivate: false }).send(MESSAGE, url);

      await assert.rejects(sending, hasKind("contract"));
    });
  }

  test("an answer that drips byte by byte ends in its time", async (t) => {
    const hook = await startHook(t, (_request, response) => {
      const socket = response.socket;
      socket?.write("HTTP/1.1 200 OK\r\n");
      const drip = setInterval(() => socket?.write("x-slow: 1\r\n"), 20);
      socket?.once("close", () => clearInterval(drip));
    });
    const startedMs = performance.now();

    await assert.rejects(open(t, { timeoutMs: 300 }).send(MESSAGE, hook.url), hasKind("transient"));

    assert.ok(performance.now() - startedMs < 3_000);
  });

  test("a body that never ends holds nobody up: the status was the answer", async (t) => {
    const hook = await startHook(t, (_request, response) => {
      response.writeHead(200);
      const drip = setInterval(() => response.write("x".repeat(1_000)), 5);
      response.once("close", () => clearInterval(drip));
    });

    await open(t, { timeoutMs: 2_000 }).send(MESSAGE, hook.url);

    assert.equal(hook.received.length, 1);
  });

  for (const secret of [
    "",
    "whsec_",
    "whsec_short",
    "not base64 at all!",
    `whsec_${"A".repeat(200)}`,
  ]) {
    test(`${JSON.stringify(secret)} is no secret`, () => {
      assert.throws(() => parseSecrets(secret), hasKind("config"));
    });
  }
});
