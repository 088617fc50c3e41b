/**
 * A line of so many bits a second in front of a server on loopback: TCP both ways, first come first
 * served, and what went up is counted. Nothing of what passes is looked at.
 */
import { createServer, connect } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";

export interface SlowLink extends AsyncDisposable {
  /** The same as the server's, on another port. */
  url: string;
  /** Bytes that left the near side, headers and all. */
  readonly upBytes: number;
}

/** Small enough that nobody waits long for another's piece. */
const PIECE_BYTES = 16 * 1024;

export async function openSlowLink(target: string, bitsPerSecond: number): Promise<SlowLink> {
  const { hostname, port } = new URL(target);
  const sockets = new Set<Socket>();
  const [up, down] = [openLane(bitsPerSecond), openLane(bitsPerSecond)];
  const server = createServer((near) => {
    const far = connect({ host: hostname, port: Number(port) });
    for (const socket of [near, far]) {
      socket.setNoDelay(true);
      sockets.add(socket);
      socket.once("close", () => sockets.delete(socket));
    }
    const end = (): void => {
      near.destroy();
      far.destroy();
    };
    near.on("error", end);
    far.on("error", end);
    carry(near, far, up.pass).catch(end);
    carry(far, near, down.pass).catch(end);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get upBytes() {
      return up.bytes;
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function carry(
  from: Socket,
  to: Socket,
  pass: (bytes: number) => Promise<void>,
): Promise<void> {
  for await (const chunk of from as AsyncIterable<Buffer>) {
    for (let at = 0; at < chunk.length; at += PIECE_BYTES) {
      const piece = chunk.subarray(at, at + PIECE_BYTES);
      await pass(piece.length);
      if (!to.write(piece)) {
        await new Promise<void>((resolve) => {
          to.once("drain", resolve);
          to.once("close", resolve);
        });
      }
    }
  }
  to.end();
}

/** Each piece waits until those before it are through. */
function openLane(bitsPerSecond: number): { pass(bytes: number): Promise<void>; bytes: number } {
  let freeAtMs = 0;
  const lane = {
    bytes: 0,
    async pass(bytes: number): Promise<void> {
      lane.bytes += bytes;
      const nowMs = performance.now();
      freeAtMs = Math.max(nowMs, freeAtMs) + (bytes * 8_000) / bitsPerSecond;
      if (freeAtMs - nowMs >= 1) await delay(freeAtMs - nowMs);
    },
  };
  return lane;
}
