/**
 * A proxy on loopback through which a downloader goes out. It resolves each name once, refuses what
 * is private, and connects to the very address that it looked at: neither a redirect nor a name that
 * changes its address leads a child into this network.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, request as openRequest } from "node:http";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { connect } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Duplex } from "node:stream";

import { isPrivateAddress, resolveHost } from "./private-address.ts";

/** yt-dlp opens a few; a page can't make it open many. */
const MAX_CONNECTIONS = 64;
const CONNECT_TIMEOUT_MS = 30_000;
/** A site that pauses a download goes on after minutes, or never. */
const SILENCE_TIMEOUT_MS = 5 * 60_000;
const MAX_REFUSED = 100;
/** Of one connection, not of the two that a proxy joins: RFC 9110 §7.6.1. */
const HOP_BY_HOP = ["connection", "proxy-connection", "proxy-authorization", "keep-alive", "te"];

export interface EgressOptions {
  isAllowed?: (address: string) => boolean;
  resolve?: (hostname: string) => Promise<string[]>;
}

export interface EgressProxy extends AsyncDisposable {
  /** For `--proxy`. */
  readonly url: string;
  readonly port: number;
  /** The same proxy as a Unix socket, for a child without a network. */
  readonly socket: string;
  /** Hosts that were asked for and may not be reached. */
  readonly refused: readonly string[];
}

class Refused extends Error {}

export async function openEgressProxy(options: EgressOptions = {}): Promise<EgressProxy> {
  const { isAllowed = (address) => !isPrivateAddress(address), resolve = resolveHost } = options;
  const refused: string[] = [];
  const sockets = new Set<Duplex>();
  const keep = <Kept extends Duplex>(socket: Kept): Kept => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    return socket;
  };

  /** Addresses that may be asked. @throws Refused; as `resolve`. */
  async function admit(url: URL): Promise<string> {
    const addresses = await resolve(url.hostname);
    const [first] = addresses;
    if (first !== undefined && addresses.every(isAllowed)) return first;
    if (refused.length < MAX_REFUSED) refused.push(url.hostname);
    throw new Refused(url.hostname);
  }

  async function onConnect(request: IncomingMessage, client: Duplex, head: Buffer): Promise<void> {
    keep(client);
    client.on("error", () => client.destroy());
    try {
      const url = new URL(`http://${request.url ?? ""}`);
      const upstream = keep(await dial(await admit(url), Number(url.port || 80)));
      upstream.on("error", () => client.destroy());
      upstream.on("close", () => client.destroy());
      client.on("close", () => upstream.destroy());
      client.write("HTTP/1.1 200 Connection established\r\n\r\n");
      upstream.write(head);
      client.pipe(upstream).pipe(client);
    } catch (error) {
      const status = error instanceof Refused ? "403 Forbidden" : "502 Bad Gateway";
      client.end(`HTTP/1.1 ${status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n`);
    }
  }

  async function onRequest(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const url = new URL(request.url ?? "");
      if (url.protocol !== "http:") throw new Refused(url.protocol);
      const headers = Object.fromEntries(
        Object.entries(request.headers).filter(([name]) => !HOP_BY_HOP.includes(name)),
      );
      const upstream = openRequest({
        host: await admit(url),
        port: Number(url.port || 80),
        method: request.method,
        path: `${url.pathname}${url.search}`,
        headers: { ...headers, host: url.host, connection: "close" },
        agent: false,
        timeout: SILENCE_TIMEOUT_MS,
      });
      upstream.on("timeout", () => upstream.destroy());
      upstream.on("error", () => fail(response, 502));
      upstream.on("response", (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(response);
        answer.on("error", () => response.destroy());
      });
      response.on("close", () => upstream.destroy());
      request.pipe(upstream);
    } catch (error) {
      fail(response, error instanceof Refused ? 403 : 502);
    }
  }

  const open = (): Server => {
    const server = createServer((request, response) => void onRequest(request, response));
    server.on("connect", (request, client, head) => void onConnect(request, client, head));
    server.on("connection", (socket) => void keep(socket));
    server.maxConnections = MAX_CONNECTIONS;
    return server;
  };
  // Short: the path of a Unix socket has at most 104 bytes.
  const dir = mkdtempSync(join(tmpdir(), "cs-egress-"));
  const socket = join(dir, "proxy");
  const servers = [open(), open()] as const;
  await Promise.all([
    new Promise<void>((done) => servers[0].listen(0, "127.0.0.1", done)),
    new Promise<void>((done) => servers[1].listen(socket, done)),
  ]);
  const { port } = servers[0].address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    socket,
    refused,
    async [Symbol.asyncDispose]() {
      const closed = servers.map((server) => new Promise((done) => server.close(done)));
      for (const each of sockets) each.destroy();
      await Promise.all(closed);
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

function dial(address: string, port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: address, port, timeout: CONNECT_TIMEOUT_MS });
    socket.once("connect", () => {
      socket.setTimeout(SILENCE_TIMEOUT_MS);
      resolve(socket);
    });
    socket.on("timeout", () => socket.destroy(new Error("timed out")));
    socket.once("error", reject);
  });
}

function fail(response: ServerResponse, status: number): void {
  if (response.headersSent) response.destroy();
  else response.writeHead(status, { "content-length": 0, connection: "close" }).end();
}
