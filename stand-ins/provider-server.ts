/**
 * A provider on loopback that speaks the documented wire and keeps books: what it was asked, what
 * that costs. It shares no code with the adapters: two that agree by a common mistake prove nothing.
 */
import { createHash } from "node:crypto";
import { createServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface ReceivedField {
  name: string;
  value: string;
  fileName: string | null;
  bytes: number;
  sha256: string;
}

export interface Received {
  path: string;
  authorization: string | null;
  /** Multipart fields in their order, or the JSON body. */
  fields: ReceivedField[];
  json: unknown;
  /** False once whoever asked is gone. */
  isOpen: () => boolean;
}

export type Reply =
  | { status?: number; headers?: Record<string, string>; body: unknown }
  /** Sends half of the body, then breaks the connection. */
  | { cut: unknown };

export interface ProviderServer extends AsyncDisposable {
  url: string;
  received: Received[];
}

/** `answer` is called once a request; requests are answered together. */
export async function startProviderServer(
  answer: (request: Received, index: number) => Reply | Promise<Reply>,
): Promise<ProviderServer> {
  const received: Received[] = [];
  const server = createServer((request, response) => {
    handle(request, response).catch(() => response.destroy());
  });
  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks);
    const type = request.headers["content-type"] ?? "";
    const boundary = /^multipart\/form-data;.*boundary="?([^";]+)/.exec(type)?.[1];
    const about: Received = {
      isOpen: () => !response.destroyed && !request.socket.destroyed,
      path: request.url ?? "",
      authorization: request.headers.authorization ?? null,
      fields: boundary === undefined ? [] : parseMultipart(body, boundary),
      json: type === "application/json" ? (JSON.parse(body.toString("utf8")) as unknown) : null,
    };
    received.push(about);
    const reply = await answer(about, received.length - 1);
    if ("cut" in reply) {
      const text = JSON.stringify(reply.cut);
      response.writeHead(200, {
        "content-type": "application/json",
        "content-length": text.length,
      });
      response.write(text.slice(0, text.length / 2), () => response.destroy());
      return;
    }
    const { status = 200, headers = {}, body: sent } = reply;
    response.writeHead(status, { "content-type": "application/json", ...headers });
    response.end(typeof sent === "string" ? sent : JSON.stringify(sent));
  }
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    received,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** RFC 7578, as bytes: keeps the order of the fields. */
function parseMultipart(body: Buffer, boundary: string): ReceivedField[] {
  const fields: ReceivedField[] = [];
  const mark = Buffer.from(`--${boundary}`);
  let at = body.indexOf(mark);
  while (at !== -1) {
    const next = body.indexOf(mark, at + mark.length);
    if (next === -1) break;
    const part = body.subarray(at + mark.length + 2, next - 2);
    const split = part.indexOf("\r\n\r\n");
    const head = part.subarray(0, split).toString("utf8");
    const content = part.subarray(split + 4);
    const fileName = /filename="([^"]*)"/.exec(head)?.[1] ?? null;
    fields.push({
      name: /[; ]name="([^"]*)"/.exec(head)?.[1] ?? "",
      value: fileName === null ? content.toString("utf8") : "",
      fileName,
      bytes: content.length,
      sha256: createHash("sha256").update(content).digest("hex"),
    });
    at = next;
  }
  return fields;
}

/**
 * Gets what a `file_url` points to, as a provider would: no credentials but those in the address.
 * `status` is the bucket's; 0 where nobody answered.
 */
export async function fetchSound(
  request: Received,
): Promise<{ status: number; bytes: number; sha256: string }> {
  const address = request.fields.find(({ name }) => name === "file_url")?.value ?? "";
  try {
    const response = await fetch(address);
    const body = Buffer.from(await response.arrayBuffer());
    const sha256 = createHash("sha256").update(body).digest("hex");
    return { status: response.status, bytes: body.length, sha256 };
  } catch {
    return { status: 0, bytes: 0, sha256: "" };
  }
}

/** Refuses what Mistral's documentation says it refuses. Null: the request is good. */
export function refuseLikeMistral(request: Received, key: string): Reply | null {
  const error = (status: number, message: unknown): Reply => ({
    status,
    body: {
      object: "error",
      message,
      type: "invalid_request",
      param: null,
      code: "3051",
      raw_status_code: status,
    },
  });
  if (request.authorization !== `Bearer ${key}`) return error(401, "Unauthorized");
  const values = (name: string): string[] =>
    request.fields.filter((field) => field.name === name).map(({ value }) => value);
  const sources = ["file", "file_url", "file_id"].flatMap(values);
  if (sources.length !== 1)
    return error(422, { detail: [{ loc: ["body", "file"], msg: "exactly one" }] });
  const [address = ""] = values("file_url");
  if (address.length > 2_083)
    return error(422, { detail: [{ loc: ["body", "file_url"], msg: "too long" }] });
  const granularity = values("timestamp_granularities");
  if (values("language").length > 0 && granularity.length > 0)
    return error(400, "language and timestamp_granularities exclude each other");
  const [model = ""] = values("model");
  if (model !== "voxtral-mini-2602" && granularity.includes("word"))
    return error(400, "no word times");
  if (model.endsWith("-latest") || model === "voxtral-mini-2507")
    return error(404, "no such model");
  return null;
}

/** Refuses what xAI's documentation says it refuses. Null: the request is good. */
export function refuseLikeXai(request: Received, key: string): Reply | null {
  const error = (status: number, message: string): Reply => ({
    status,
    body: { code: "invalid-argument", error: message },
  });
  if (request.authorization !== `Bearer ${key}`)
    return error(400, "Incorrect API key provided: x***");
  if (request.path !== "/v1/stt") return null;
  const names = request.fields.map(({ name }) => name);
  // What comes after the file is not read.
  if (names.at(-1) !== "file" || names.indexOf("file") !== names.length - 1)
    return error(422, "the file must be the last field");
  const known = ["format", "language", "diarize", "keyterm", "multichannel", "file"];
  const unknown = names.find((name) => !known.includes(name));
  return unknown === undefined ? null : error(422, `unknown field ${unknown}`);
}
