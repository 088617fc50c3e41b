/** A site with videos, on loopback: for tests of downloads. */
import { execFileSync } from "node:child_process";
import { readFileSync, readdirSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import type { TestContext } from "node:test";

/** By path: what is answered. */
export type SiteFiles = Record<
  string,
  { type: string; body: Buffer | string } | { location: string }
>;

/** Serves them on loopback until the test ends, and notes what was asked for. */
export async function serveSite(
  t: TestContext,
  files: SiteFiles,
  host = "127.0.0.1",
): Promise<{ origin: string; requests: string[] }> {
  const requests: string[] = [];
  const server = createServer((request, response) => {
    const path = request.url ?? "";
    requests.push(path);
    const found = files[path];
    if (found === undefined) {
      response.writeHead(404).end();
    } else if ("location" in found) {
      response.writeHead(302, { location: found.location }).end();
    } else {
      const body = Buffer.from(found.body);
      response.setHeader("content-type", found.type);
      response.setHeader("content-length", body.length);
      response.end(request.method === "HEAD" ? undefined : body);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  t.after(() => server.close());
  return { origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests };
}

/** A second of moving picture, without sound. */
export function makeVideo(dir: string): Buffer {
  const made = join(dir, "made.mp4");
  execFileSync("ffmpeg", ["-v", "error", "-f", "lavfi", "-i", "testsrc=d=1:s=64x64:r=5", made]);
  return readFileSync(made);
}

/** A page's stream at /talk.m3u8: picture and sound apart, and captions, as sites serve it. */
export function makeStream(dir: string): SiteFiles {
  const make = (name: string, input: string, codec: string[]): void => {
    const list = join(dir, `${name}.m3u8`);
    const hls = ["-f", "hls", "-hls_time", "2", "-hls_list_size", "0", "-hls_segment_filename"];
    const files = [join(dir, `${name}%d.ts`), list];
    execFileSync("ffmpeg", ["-v", "error", "-f", "lavfi", "-i", input, ...codec, ...hls, ...files]);
  };
  make("picture", "testsrc=d=4:s=64x64:r=5", ["-c:v", "libx264"]);
  make("sound", "sine=duration=4", ["-c:a", "aac"]);
  const m3u8 = "application/vnd.apple.mpegurl";
  const files: SiteFiles = {};
  for (const name of readdirSync(dir)) {
    if (/\.(?:ts|m3u8)$/.test(name)) {
      const type = name.endsWith("ts") ? "video/mp2t" : m3u8;
      files[`/${name}`] = { type, body: readFileSync(join(dir, name)) };
    }
  }
  const captions = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\nen.vtt\n#EXT-X-ENDLIST\n";
  files["/captions.m3u8"] = { type: m3u8, body: captions };
  const cue = "WEBVTT\n\n00:00:00.000 --> 00:00:03.000\nWe will vote tonight.\n";
  files["/en.vtt"] = { type: "text/vtt", body: cue };
  files["/talk.m3u8"] = {
    type: m3u8,
    body: [
      "#EXTM3U",
      '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="en",DEFAULT=YES,URI="sound.m3u8"',
      '#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="s",NAME="en",LANGUAGE="en",URI="captions.m3u8"',
      '#EXT-X-STREAM-INF:BANDWIDTH=200000,CODECS="avc1.42c00a,mp4a.40.2",AUDIO="a",SUBTITLES="s"',
      "picture.m3u8",
      "",
    ].join("\n"),
  };
  return files;
}
