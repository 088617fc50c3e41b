/**
 * An S3 server that keeps nothing: bodies are thrown away, so what is measured is the client. It
 * answers with the MD5 that the client said its body has, and with the ETag that follows from it.
 * Run as a program: prints its port. `GET /_sink` tells what came, `DELETE /_sink` forgets it.
 */
import { createHash } from "node:crypto";
import { createServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

interface Kept {
  size: number;
  etag: string;
}

const objects = new Map<string, Kept>();
const parts = new Map<string, Map<number, Kept>>();
const received = { bytes: 0, requests: 0, objects: 0 };

const server = createServer((request, response) => {
  handle(request, response).catch(() => response.destroy());
});
// rclone asks whether it may send, and waits for the answer.
server.on("checkContinue", (request: IncomingMessage, response: ServerResponse) => {
  response.writeContinue();
  handle(request, response).catch(() => response.destroy());
});
server.requestTimeout = 0;
server.listen(0, "127.0.0.1", () => console.log((server.address() as AddressInfo).port));

async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url ?? "/", "http://sink");
  const { method = "GET" } = request;
  if (url.pathname === "/_sink") {
    if (method === "DELETE") {
      objects.clear();
      parts.clear();
      Object.assign(received, { bytes: 0, requests: 0, objects: 0 });
    }
    response.end(JSON.stringify({ ...received, objects: objects.size }));
    return;
  }
  received.requests++;
  const key = url.pathname;
  const upload = url.searchParams.get("uploadId");
  let body = "";
  let size = 0;
  const isText = method === "POST";
  request.on("data", (chunk: Buffer) => {
    size += chunk.length;
    received.bytes += chunk.length;
    if (isText) body += chunk.toString();
  });
  await new Promise<void>((resolve, reject) => {
    request.once("end", resolve).once("error", reject).once("close", resolve);
  });
  const md5 = Buffer.from(String(request.headers["content-md5"] ?? ""), "base64").toString("hex");
  const etag = md5 === "" ? "0".repeat(32) : md5;
  if (method === "POST" && url.searchParams.has("uploads")) {
    const id = `u${received.requests}`;
    parts.set(id, new Map());
    return sendXml(response, "InitiateMultipartUploadResult", `<UploadId>${id}</UploadId>`);
  }
  if (method === "PUT" && upload !== null) {
    parts.get(upload)?.set(Number(url.searchParams.get("partNumber")), { size, etag });
    response.writeHead(200, { etag: `"${etag}"` }).end();
    return;
  }
  if (method === "POST" && upload !== null) return complete(response, key, upload);
  if (method === "GET" && upload !== null) return listParts(response, upload);
  if (method === "PUT") {
    objects.set(key, { size, etag });
    response.writeHead(200, { etag: `"${etag}"` }).end();
    return;
  }
  const found = objects.get(key);
  if (method === "HEAD" && found !== undefined) {
    const headers = { etag: `"${found.etag}"`, "content-length": found.size };
    response.writeHead(200, { ...headers, "last-modified": new Date().toUTCString() }).end();
    return;
  }
  if (method === "GET" && key.split("/").length <= 3) {
    return sendXml(response, "ListBucketResult", "<KeyCount>0</KeyCount>");
  }
  response.writeHead(404).end("<Error><Code>NoSuchKey</Code></Error>");
}

/** One page: what is measured here has fewer parts. */
function listParts(response: ServerResponse, upload: string): void {
  const sent = parts.get(upload);
  if (sent === undefined) {
    response.writeHead(404).end("<Error><Code>NoSuchUpload</Code></Error>");
    return;
  }
  const each = [...sent].map(
    ([number, { size, etag }]) =>
      `<Part><PartNumber>${number}</PartNumber><ETag>"${etag}"</ETag><Size>${size}</Size></Part>`,
  );
  sendXml(response, "ListPartsResult", `${each.join("")}<IsTruncated>false</IsTruncated>`);
}

function complete(response: ServerResponse, key: string, upload: string): void {
  const sent = [...(parts.get(upload) ?? [])].toSorted(([a], [b]) => a - b);
  const md5 = createHash("md5");
  for (const [, { etag }] of sent) md5.update(Buffer.from(etag, "hex"));
  const etag = `${md5.digest("hex")}-${sent.length}`;
  objects.set(key, { etag, size: sent.reduce((sum, [, { size }]) => sum + size, 0) });
  sendXml(response, "CompleteMultipartUploadResult", `<ETag>"${etag}"</ETag>`);
}

function sendXml(response: ServerResponse, name: string, inner: string): void {
  response
    .writeHead(200, { "content-type": "application/xml" })
    .end(`<?xml version="1.0"?><${name}>${inner}</${name}>`);
}
