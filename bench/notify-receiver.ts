/**
 * A receiver of webhooks that fails as receivers do: it says no, breaks off or stalls, before it took
 * the message or after. What arrives is verified by the reference library of Standard Webhooks.
 */
import { createServer } from "node:http";
import type { ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

import { Webhook } from "standardwebhooks";

/** Longer than a sender waits. */
const STALL_MS = 12_000;

export interface Taken {
  job: string;
  body: string;
  times: number;
}

export interface NotifyReceiver extends AsyncDisposable {
  url: string;
  /** By webhook-id. */
  taken: ReadonlyMap<string, Taken>;
  counts: { requests: number; failed: number; unverified: number; changed: number };
}

export async function startNotifyReceiver(
  secret: string,
  failShare: number,
  random: () => number,
): Promise<NotifyReceiver> {
  const taken = new Map<string, Taken>();
  const counts = { requests: 0, failed: 0, unverified: 0, changed: 0 };
  const verifier = new Webhook(secret);

  function take(headers: Record<string, string>, body: string): void {
    let event: { job_id: string };
    try {
      event = verifier.verify(body, headers) as { job_id: string };
    } catch {
      counts.unverified++;
      return;
    }
    const id = headers["webhook-id"] ?? "";
    const known = taken.get(id);
    if (known !== undefined && known.body !== body) counts.changed++;
    taken.set(id, { job: event.job_id, body, times: (known?.times ?? 0) + 1 });
  }

  function fail(response: ServerResponse, how: number): void {
    counts.failed++;
    if (how < 0.5) response.writeHead(503).end();
    else if (how < 0.6) response.writeHead(429).end();
    else if (how < 0.97) response.socket?.destroy();
    else setTimeout(() => response.socket?.destroy(), STALL_MS).unref();
  }

  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("error", () => undefined);
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      counts.requests++;
      const body = Buffer.concat(chunks).toString("utf8");
      const headers = request.headers as Record<string, string>;
      if (random() >= failShare) {
        take(headers, body);
        response.writeHead(204).end();
        return;
      }
      // A third of the failures come after the message was taken: nobody can know.
      if (random() < 1 / 3) take(headers, body);
      fail(response, random());
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`,
    taken,
    counts,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
