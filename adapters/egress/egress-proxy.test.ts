import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { connect } from "node:net";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";

import { openEgressProxy } from "./egress-proxy.ts";
import type { EgressOptions } from "./egress-proxy.ts";

/** 127.0.0.1 plays the world, every other address of loopback this network. */
const isAllowed = (address: string): boolean => address === "127.0.0.1";

async function world(t: TestContext, options: EgressOptions = {}) {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(`${request.headers.host} ${request.url}`);
    response.end("from outside");
  });
  await new Promise<void>((done) => server.listen(0, "0.0.0.0", done));
  const proxy = await openEgressProxy({ isAllowed, ...options });
  t.after(async () => {
    await proxy[Symbol.asyncDispose]();
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { asked, proxy, port };
}

/** Says it to the proxy, and returns all that it answers. */
function say(port: number, text: string): Promise<string> {
  return new Promise((resolve) => {
    let heard = "";
    const socket = connect(port, "127.0.0.1", () => socket.write(text));
    socket.on("data", (chunk: Buffer) => {
      heard += chunk.toString();
      if (heard.includes("established")) {
        socket.write("GET /through HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
      }
    });
    socket.on("error", () => resolve(heard));
    socket.on("close", () => resolve(heard));
  });
}

const get = (url: string): string => `GET ${url} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`;
const tunnel = (host: string): string => `CONNECT ${host} HTTP/1.1\r\nhost: ${host}\r\n\r\n`;

describe("the egress proxy", () => {
  test("forwards a request with the host that was asked for, and a tunnel", async (t) => {
    const { asked, proxy, port } = await world(t);

    assert.match(
      await say(proxy.port, get(`http://127.0.0.1:${port}/a?b`)),
      /200 OK[^]*from outside/,
    );
    assert.match(await say(proxy.port, tunnel(`127.0.0.1:${port}`)), /established[^]*from outside/);
    assert.deepEqual(asked, [`127.0.0.1:${port} /a?b`, "x /through"]);
    assert.deepEqual(proxy.refused, []);
  });

  test("refuses what is private, by request and by tunnel, and names it", async (t) => {
    const { asked, proxy, port } = await world(t);

    assert.match(await say(proxy.port, get(`http://127.0.0.2:${port}/secret`)), /^HTTP\/1.1 403/);
    assert.match(await say(proxy.port, tunnel(`127.0.0.2:${port}`)), /^HTTP\/1.1 403/);
    assert.deepEqual(asked, []);
    assert.deepEqual(proxy.refused, ["127.0.0.2", "127.0.0.2"]);
  });

  test("a name with a private address beside a public one is refused", async (t) => {
    const resolve = async (): Promise<string[]> => ["127.0.0.1", "127.0.0.2"];
    const { asked, proxy, port } = await world(t, { resolve });

    assert.match(await say(proxy.port, get(`http://both.example:${port}/`)), /^HTTP\/1.1 403/);
    assert.deepEqual(asked, []);
  });

  test("a name that changes its address is reached where it was looked at", async (t) => {
    let lookups = 0;
    const resolve = async (): Promise<string[]> => [lookups++ === 0 ? "127.0.0.1" : "127.0.0.2"];
    const { asked, proxy, port } = await world(t, { resolve });

    assert.match(await say(proxy.port, get(`http://turns.example:${port}/1`)), /from outside/);
    assert.match(await say(proxy.port, get(`http://turns.example:${port}/2`)), /^HTTP\/1.1 403/);
    assert.deepEqual(asked, [`turns.example:${port} /1`]);
  });

  test("nothing but http is forwarded, and a name without an address is no crash", async (t) => {
    const resolve = async (): Promise<string[]> => Promise.reject(new Error("ENOTFOUND"));
    const { proxy } = await world(t, { resolve });

    assert.match(await say(proxy.port, get("ftp://127.0.0.1/x")), /^HTTP\/1.1 403/);
    assert.match(await say(proxy.port, get("/x")), /^HTTP\/1.1 502/);
    assert.match(await say(proxy.port, get("http://gone.example/x")), /^HTTP\/1.1 502/);
    assert.match(await say(proxy.port, tunnel("gone.example:443")), /^HTTP\/1.1 502/);
  });
});
