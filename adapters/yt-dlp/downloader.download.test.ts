import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";

import { hasKind } from "../../core/errors.ts";
import { openDownloader } from "./downloader.ts";

async function folder(t: TestContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), "clipscribe-download-"));
  t.after(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

async function serve(
  t: TestContext,
  body: Buffer,
): Promise<{ origin: string; requests: string[] }> {
  const requests: string[] = [];
  const server = createServer((request, response) => {
    requests.push(request.url ?? "");
    if (request.url?.startsWith("/gone") === true) {
      response.statusCode = 404;
      response.end();
      return;
    }
    response.setHeader("content-type", "video/mp4");
    response.setHeader("content-length", body.length);
    response.end(request.method === "HEAD" ? undefined : body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  return { origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests };
}

const io = {
  env: { PATH: process.env["PATH"], SECRET_API_KEY: "canary" },
  platform: process.platform,
};
const open = (allowPrivateUrls: boolean) => openDownloader({ io, settings: { allowPrivateUrls } });

describe("yt-dlp", () => {
  test("fetches a file byte for byte, under a fixed name", async (t) => {
    const dir = await folder(t);
    const made = join(dir, "made.mp4");
    execFileSync("ffmpeg", ["-v", "error", "-f", "lavfi", "-i", "testsrc=d=1:s=64x64:r=5", made]);
    const body = await readFile(made);
    const { origin } = await serve(t, body);
    const target = join(dir, "target");

    const { path, info } = await open(true).fetch(`${origin}/a%20talk.mp4`, target, {
      signal: t.signal,
    });

    assert.deepEqual(await readFile(path), body);
    assert.equal(path, join(target, "media.mp4"));
    assert.equal(info.url, `${origin}/a%20talk.mp4`);
  });

  test("a private address is refused before anything is asked of it", async (t) => {
    const { origin, requests } = await serve(t, Buffer.from("x"));
    const dir = await folder(t);

    await assert.rejects(
      open(false).fetch(`${origin}/a.mp4`, dir, { signal: t.signal }),
      hasKind("denied"),
    );
    assert.deepEqual(requests, []);
  });

  test("what isn't there is an error that says so, and leaves no file that looks finished", async (t) => {
    const { origin } = await serve(t, Buffer.from("x"));
    const dir = await folder(t);

    await assert.rejects(
      open(true).fetch(`${origin}/gone.mp4`, dir, { signal: t.signal }),
      hasKind("contract", "transient"),
    );
  });
});
