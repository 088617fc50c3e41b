/** What the API may answer, documented or not, and what is made of it. */
import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";

import { isKind } from "../../core/errors.ts";
import type { ErrorKind } from "../../core/errors.ts";
import { wantedAccount } from "../../core/account-wanted.ts";
import { requestAccount } from "./account-request.ts";
import type { AccountAnswer } from "./account-request.ts";
import { openCloudflareAccount } from "./cloudflare-account.ts";

async function serve(
  t: TestContext,
  answer: (response: ServerResponse, url: string) => void,
): Promise<string> {
  const server = createServer((request, response) => answer(response, request.url ?? ""));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/client/v4`;
}

const ask = async (baseUrl: string, signal?: AbortSignal): Promise<AccountAnswer> =>
  requestAccount(
    { baseUrl, apiToken: "t" },
    { method: "GET", path: "/x", right: "Queues: Edit", signal },
  );

const envelope = (code: number, message = "said"): string =>
  JSON.stringify({ success: false, errors: [{ code, message }], messages: [], result: null });

describe("an answer of Cloudflare's API", () => {
  const rows: [what: string, status: number, body: string, kind: ErrorKind, says: RegExp][] = [
    [
      "an unknown token",
      401,
      envelope(1000),
      "denied",
      /refuses this token .*right="Queues: Edit"/,
    ],
    ["a right that is missing", 403, envelope(10000), "denied", /refuses this token/],
    ["a right that is missing, told by 400", 400, envelope(9109), "denied", /refuses this token/],
    ["an account that is none", 404, envelope(7003), "config", /no such account/],
    ["R2 not enabled", 403, envelope(10042), "config", /R2 is not enabled/],
    ["no bucket", 404, envelope(10006), "missing", /no such bucket/],
    ["no bucket in this jurisdiction", 404, envelope(10085), "missing", /jurisdiction/],
    ["a name that is taken", 409, envelope(10073), "conflict", /there already/],
    ["rules that overlap", 400, envelope(11014), "conflict", /overlap/],
    ["trouble of its own", 500, envelope(10001), "transient", /answered 500/],
    ["trouble without a word", 502, "<html>bad gateway</html>", "transient", /answered 502/],
    [
      "an error that nobody knows",
      400,
      envelope(99999, "no such luck"),
      "contract",
      /no such luck/,
    ],
    [
      "errors beside success",
      200,
      '{"success":true,"errors":[{"code":10006}]}',
      "missing",
      /bucket/,
    ],
    [
      "no success beside a good status",
      200,
      '{"success":false,"errors":[]}',
      "transient",
      /answered 200/,
    ],
    ["a portal's page", 200, "<html>please sign in</html>", "transient", /something else answers/],
    ["no route at all", 404, "", "config", /answered 404/],
  ];
  for (const [what, status, body, kind, says] of rows) {
    test(`${what}: ${kind}`, async (t) => {
      const url = await serve(t, (response) => response.writeHead(status).end(body));
      await assert.rejects(ask(url), (error) => {
        assert.ok(isKind(error, kind), String(error));
        assert.match(error.message, says);
        assert.ok(error.hint === undefined || error.hint.length > 10);
        return true;
      });
    });
  }

  test("nothing at all is a good one: some writes have no more to say", async (t) => {
    const url = await serve(t, (response) => response.writeHead(200).end());
    assert.equal((await ask(url)).result, null);
  });

  test("a busy one is waited out once, for as long as it asks and no longer than a minute", async (t) => {
    const url = await serve(t, (response) => response.writeHead(429, { "retry-after": "1" }).end());
    const before = performance.now();
    await assert.rejects(ask(url), (error) => isKind(error, "transient"));
    const took = performance.now() - before;
    assert.ok(took >= 950 && took < 5_000, `${took}`);
  });

  test("one that never ends is cut off at a bound", async (t) => {
    const chunk = Buffer.alloc(1024 * 1024, "x");
    let sent = 0;
    const url = await serve(t, (response) => {
      const more = (): void => {
        if (response.destroyed) return;
        sent += chunk.length;
        if (response.write(chunk)) setImmediate(more);
        else response.once("drain", more);
      };
      more();
    });
    await assert.rejects(ask(url), (error) => isKind(error, "contract"));
    assert.ok(sent < 64 * 1024 * 1024, `${sent}`);
  });

  test("a redirect is not followed: it would take the token along", async (t) => {
    let asked = 0;
    const url = await serve(t, (response, path) => {
      asked++;
      response.writeHead(path.includes("elsewhere") ? 200 : 302, { location: "/elsewhere" }).end();
    });
    await assert.rejects(ask(url), (error) => isKind(error, "transient"));
    assert.equal(asked, 1);
  });

  test("a connection that breaks, and a person who stops it, are told apart", async (t) => {
    const url = await serve(t, (response) => response.destroy());
    await assert.rejects(ask(url), (error) => isKind(error, "transient"));
    const stop = new AbortController();
    const slow = await serve(t, () => stop.abort());
    await assert.rejects(ask(slow, stop.signal), (error) => isKind(error, "cancelled"));
  });
});

describe("listings of an account", () => {
  const wanted = wantedAccount({
    accountId: "0".repeat(32),
    bucket: "clipscribe",
    jurisdiction: "default",
    accept: ["mp4"],
  });
  const queues = Array.from({ length: 250 }, (_, index) => ({
    queue_id: `id-${index}`,
    queue_name: index === 249 ? "clipscribe-urgent" : `other-${index}`,
  }));
  const reply = (response: ServerResponse, result: unknown, info?: unknown): void =>
    void response.end(JSON.stringify({ success: true, errors: [], result, result_info: info }));

  test("are read to their last page", async (t) => {
    const url = await serve(t, (response, path) => {
      if (path.includes("consumers")) return reply(response, []);
      const page = Number(/[?&]page=(\d+)/.exec(path)?.[1]);
      const listed = queues.slice((page - 1) * 100, page * 100);
      reply(response, listed, { page, count: listed.length, total_count: queues.length });
    });
    const account = openCloudflareAccount({ baseUrl: url, apiToken: "t" }, wanted);

    assert.equal((await account.readQueues()).urgent?.id, "id-249");
  });

  test("end where an API knows no pages, and answers the same one again", async (t) => {
    let asked = 0;
    const url = await serve(t, (response) => {
      asked++;
      reply(response, queues.slice(0, 3));
    });
    const account = openCloudflareAccount({ baseUrl: url, apiToken: "t" }, wanted);

    assert.deepEqual(await account.readQueues(), { urgent: null, batch: null });
    assert.equal(asked, 2);
  });

  test("of an unknown shape are told as such, and nothing is taken from them", async (t) => {
    const url = await serve(t, (response) => reply(response, { queues: "many" }));
    const account = openCloudflareAccount({ baseUrl: url, apiToken: "t" }, wanted);

    await assert.rejects(account.readQueues(), (error) => isKind(error, "contract"));
  });
});
