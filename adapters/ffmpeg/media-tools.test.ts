import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";

import { hasKind } from "../../core/errors.ts";
import type { MediaToolResult } from "../../ports/media-tools.ts";
import { detectSandbox } from "../sandbox/detect-sandbox.ts";
import { openSandbox } from "../sandbox/sandboxed.ts";
import { guardArguments, openMediaTools } from "./media-tools.ts";

const platform = process.platform;
const sandbox = openSandbox(detectSandbox({ platform }));
const tools = openMediaTools({ sandbox, platform, path: process.env["PATH"] ?? "" });

async function folder(t: TestContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), "clipscribe-ffmpeg-"));
  t.after(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

function makeMedia(path: string, seconds: number): void {
  const lavfi = ["-f", "lavfi", "-i", `testsrc=d=${seconds}:s=160x120:r=5`, "-f", "lavfi", "-i"];
  execFileSync("ffmpeg", ["-v", "error", ...lavfi, `sine=d=${seconds}`, "-shortest", path]);
}

async function probe(t: TestContext, path: string, timeoutMs = 20_000): Promise<MediaToolResult> {
  return tools.run({
    tool: "ffprobe",
    args: ["-v", "error", "-of", "json", "-show_format", path],
    readable: [path],
    writableDir: await folder(t),
    timeoutMs,
    maxStdoutBytes: 1024 * 1024,
    signal: t.signal,
  });
}

describe("the media tools", () => {
  test("say their versions", async () => {
    const versions = await tools.versions();

    assert.match(versions["ffmpeg"] ?? "", /\d/);
    assert.match(versions["ffprobe"] ?? "", /\d/);
  });

  test("read a file whatever it is called, and write to the folder", async (t) => {
    const dir = await folder(t);
    const path = join(dir, '-it\'s "a"\n%d ünï:😀.mp4');
    const plain = join(dir, "plain.mp4");
    makeMedia(plain, 1);
    await writeFile(path, await readFile(plain));
    const writableDir = await folder(t);

    await tools.run({
      tool: "ffmpeg",
      args: ["-v", "error", "-i", path, "-vn", "-ac", "1", join(writableDir, "out.wav")],
      readable: [path],
      writableDir,
      timeoutMs: 20_000,
      maxStdoutBytes: 1_000,
      signal: t.signal,
    });

    assert.equal((await readFile(join(writableDir, "out.wav"))).subarray(0, 4).toString(), "RIFF");
  });

  test("a missing tool is a config error that says how to install it", async (t) => {
    const none = openMediaTools({ sandbox, platform: "linux", path: "/nowhere" });
    const call = { args: [], readable: [], timeoutMs: 1_000, maxStdoutBytes: 1, signal: t.signal };
    const writableDir = await folder(t);

    const run = none.run({ tool: "ffprobe2" as "ffprobe", writableDir, ...call });

    await assert.rejects(run, { kind: "config", hint: /apt-get install ffmpeg/ });
  });

  const playlists: [name: string, text: (target: string) => string][] = [
    [
      "an HLS playlist",
      (target) => `#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n${target}\n#EXT-X-ENDLIST\n`,
    ],
    ["a concat script", (target) => `ffconcat version 1.0\nfile '${target}'\n`],
    [
      "an MPD",
      (target) =>
        `<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><BaseURL>${target}</BaseURL></MPD>`,
    ],
    [
      "an SDP",
      (target) =>
        `v=0\no=- 0 0 IN IP4 127.0.0.1\ns=${target}\nc=IN IP4 127.0.0.1\nm=audio 9999 RTP/AVP 0\n`,
    ],
  ];
  for (const [name, text] of playlists) {
    test(`${name} that calls itself .mp4 opens no file and no connection`, async (t) => {
      let connections = 0;
      const server = createServer((_request, response) => response.end());
      server.on("connection", () => connections++);
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      t.after(() => server.close());
      const { port } = server.address() as AddressInfo;
      const dir = await folder(t);
      const url = join(dir, "url.mp4");
      const local = join(dir, "local.mp4");
      const secret = join(dir, "secret.wav");
      execFileSync("ffmpeg", ["-v", "error", "-f", "lavfi", "-i", "sine=d=1", secret]);
      await writeFile(url, text(`http://127.0.0.1:${port}/a.ts`));
      await writeFile(local, text(secret));

      await assert.rejects(probe(t, url), hasKind("contract"));
      await assert.rejects(probe(t, local), hasKind("contract"));
      assert.equal(connections, 0);
    });
  }

  test("damaged files end in a contract error or a result, never in a hang", async (t) => {
    const dir = await folder(t);
    const good = join(dir, "good.mp4");
    makeMedia(good, 2);
    const bytes = await readFile(good);
    let seed = 42;
    const random = (): number => (seed = (seed * 1103515245 + 12345) % 2 ** 31) / 2 ** 31;
    for (let round = 0; round < 8; round++) {
      const damaged = Buffer.from(bytes);
      for (let flip = 0; flip < 40; flip++) damaged[Math.floor(random() * damaged.length)] = flip;
      const path = join(dir, `bad-${round}.mp4`);
      await writeFile(path, damaged.subarray(0, Math.floor(damaged.length * (1 - random() / 2))));

      await probe(t, path).catch((error: unknown) => assert.ok(hasKind("contract")(error)));
    }
  });

  test("errors name no path and carry no control codes", async (t) => {
    const path = join(await folder(t), "not\u001b[31m media.mp4");
    await writeFile(path, "hello");

    const error = await probe(t, path).catch((thrown: unknown) => thrown as Error);

    assert.ok(error instanceof Error);
    // oxlint-disable-next-line no-control-regex -- that is what must not be there
    assert.doesNotMatch(error.message, /clipscribe-ffmpeg|\u001b/);
    assert.match(error.message, /can't read the file/);
  });

  test("the guard stands before every input", () => {
    const args = guardArguments("ffmpeg", ["-i", "/a", "-i", "/b", "out"]);

    assert.equal(args.filter((arg) => arg === "-format_whitelist").length, 2);
    assert.ok(args.indexOf("-protocol_whitelist") < args.indexOf("-i"));
  });
});
