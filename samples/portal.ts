/** A network that wants a person to sign in: until then it answers every request itself. For tests. */
import { createServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import { connect, createServer as createTcpServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";

const PAGE = "<html><body>Welcome to the hotel: sign in</body></html>";

/** What hotels' networks do: show a page, send elsewhere, or serve a page as any web server does. */
export const PORTALS = {
  "a page": (_request, response) => {
    response.writeHead(200, { "content-type": "text/html" }).end(PAGE);
  },
  "a redirection": (_request, response) => {
    response.writeHead(302, { location: "http://portal.invalid/login" }).end();
  },
  "a page with an etag": (_request, response) => {
    const headers = { "content-type": "text/html", etag: '"65b0-5f3c1a2b"' };
    response.writeHead(200, { ...headers, "last-modified": new Date(0).toUTCString() }).end(PAGE);
  },
} satisfies Record<string, (request: IncomingMessage, response: ServerResponse) => void>;

export interface Portal extends AsyncDisposable {
  /** The server's, by way of this network. */
  url: string;
  /** Requests that it has answered itself. */
  readonly answered: number;
  signOut(kind: keyof typeof PORTALS): void;
  signIn(): void;
}

export async function openPortal(target: string): Promise<Portal> {
  const { hostname, port } = new URL(target);
  const sockets = new Set<Socket>();
  let kind: keyof typeof PORTALS | null = null;
  let answered = 0;
  const portal = createServer((request, response) => {
    answered++;
    request.resume();
    request.once("end", () => PORTALS[kind ?? "a page"](request, response));
  });
  const server = createTcpServer((near) => {
    track(near);
    if (kind !== null) return void portal.emit("connection", near);
    const far = connect(Number(port), hostname);
    track(far);
    near.pipe(far).pipe(near);
    near.once("close", () => far.destroy());
    far.once("close", () => near.destroy());
  });
  function track(socket: Socket): void {
    sockets.add(socket);
    socket.on("error", () => undefined).once("close", () => sockets.delete(socket));
  }
  function change(to: typeof kind): void {
    kind = to;
    // Whoever was connected by the other network is not any more.
    for (const socket of sockets) socket.destroy();
  }
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get answered() {
      return answered;
    },
    signOut: change,
    signIn: () => change(null),
    async [Symbol.asyncDispose]() {
      change(null);
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
