import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";

import { hasKind } from "../../core/errors.ts";
import { makeStream, makeVideo, serveSite } from "../../samples/video-site.ts";
import { openDownloader } from "./downloader.ts";

async function folder(t: TestContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), "clipscribe-download-"));
  t.after(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

const io = {
  env: { PATH: process.env["PATH"], SECRET_API_KEY: "canary" },
  platform: process.platform,
};
const open = (allowPrivateUrls: boolean) => openDownloader({ io, settings: { allowPrivateUrls } });

describe("yt-dlp", () => {
  test("fetches a file byte for byte, under a fixed name", async (t) => {
    const dir = await folder(t);
    const body = makeVideo(dir);
    const { origin } = await serveSite(t, { "/a%20talk.mp4": { type: "video/mp4", body } });
    const target = join(dir, "target");

    const { path, info } = await open(true).fetch(`${origin}/a%20talk.mp4`, target, {
      signal: t.signal,
    });

    assert.deepEqual(await readFile(path), body);
    assert.equal(path, join(target, "media.mp4"));
    assert.equal(info.url, `${origin}/a%20talk.mp4`);
  });

  test("a private address is refused before anything is asked of it", async (t) => {
    const { origin, requests } = await serveSite(t, {});
    const dir = await folder(t);

    await assert.rejects(
      open(false).fetch(`${origin}/a.mp4`, dir, { signal: t.signal }),
      hasKind("denied"),
    );
    assert.deepEqual(requests, []);
  });

  test("a page that leads into a private network gets nothing of it, by redirect or by name", async (t) => {
    // 127.0.0.1 plays the web, the rest of loopback this network.
    const inside = await serveSite(
      t,
      { "/secret.mp4": { type: "video/mp4", body: "x" } },
      "0.0.0.0",
    );
    const { port } = new URL(inside.origin);
    const outside = await serveSite(t, {
      "/talk.mp4": { location: `http://127.0.0.2:${port}/secret.mp4` },
      "/name.mp4": { location: `http://inside.example:${port}/secret.mp4` },
    });
    const web = new URL(outside.origin).port;
    const egress = {
      isAllowed: (address: string) => address === "127.0.0.1",
      resolve: async (host: string) => {
        if (host === "inside.example") return ["127.0.0.2"];
        return [host.startsWith("127.") ? host : "127.0.0.1"];
      },
    };
    const settings = { allowPrivateUrls: false };
    const downloader = openDownloader({ io, settings, egress });

    for (const page of ["talk", "name"]) {
      const dir = await folder(t);
      const url = `http://site.example:${web}/${page}.mp4`;
      await assert.rejects(downloader.fetch(url, dir, { signal: t.signal }), {
        kind: "denied",
        message: /^the page leads into a private network/,
      });
    }
    assert.ok(outside.requests.includes("/talk.mp4") && outside.requests.includes("/name.mp4"));
    assert.deepEqual(inside.requests, []);
  });

  test("one with known holes is not let out to the web, unless a person says so", async (t) => {
    const dir = await folder(t);
    const program = join(dir, "yt-dlp");
    writeFileSync(program, '#!/bin/sh\n[ "$1" = --version ] && echo 2025.01.01\nexit 1\n', {
      mode: 0o755,
    });
    const egress = { resolve: async () => ["203.0.113.7"] };
    const old = { ...io, env: { ...io.env, PATH: dir } };
    const fetch = async (allowOldYtDlp: boolean): Promise<unknown> =>
      openDownloader({
        io: old,
        settings: { allowPrivateUrls: false, allowOldYtDlp },
        egress,
      }).fetch("https://site.example/a", join(dir, "to"), { signal: t.signal });

    await assert.rejects(fetch(false), { kind: "config", message: /2025\.01\.01 has known holes/ });
    await assert.rejects(fetch(true), (error: Error) => !/known holes/.test(error.message));
  });

  test("what isn't there is an error that says so, and leaves no file that looks finished", async (t) => {
    const { origin } = await serveSite(t, {});
    const dir = await folder(t);

    await assert.rejects(
      open(true).fetch(`${origin}/gone.mp4`, dir, { signal: t.signal }),
      hasKind("contract", "transient"),
    );
  });

  test("where sound is enough the picture is not even asked for, and captions come along", async (t) => {
    const { origin, requests } = await serveSite(t, makeStream(await folder(t)));
    const dir = await folder(t);
    const url = `${origin}/talk.m3u8`;
    const look = await open(true).look(url, dir, { signal: t.signal });
    const asked = requests.length;

    const { path, sidecars, info } = await open(true).fetch(url, dir, {
      signal: t.signal,
      soundOnly: true,
      languages: ["en"],
    });

    const show = ["-v", "error", "-show_entries", "stream=codec_type", "-of", "csv=p=0", path];
    assert.equal(execFileSync("ffprobe", show, { encoding: "utf8" }).trim(), "audio");
    assert.ok(requests.some((each) => each.startsWith("/sound")));
    assert.ok(!requests.some((each) => /^\/picture\d/.test(each)), requests.join(" "));
    assert.match(await readFile(sidecars[0] ?? "", "utf8"), /We will vote tonight/);
    assert.equal(look.kind, "video");
    assert.equal(info.url, url);
    // The look's answer is used again: the page is asked once.
    assert.equal(requests.slice(asked).filter((each) => each === "/talk.m3u8").length, 0);
  });

  test("a playlist is listed and never downloaded as a whole; a live stream is refused", async (t) => {
    const items = Array.from(
      { length: 60 },
      (_, at) => `<item><title>Part ${at}</title><link>https://e.example/${at}</link></item>`,
    );
    const rss = `<?xml version="1.0"?><rss version="2.0"><channel><title>All</title>${items.join("")}</channel></rss>`;
    const live =
      "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:9\n#EXTINF:4,\npicture0.ts\n";
    const { origin } = await serveSite(t, {
      ...makeStream(await folder(t)),
      "/feed.xml": { type: "application/rss+xml", body: rss },
      "/live.m3u8": { type: "application/vnd.apple.mpegurl", body: live },
    });
    const dir = await folder(t);
    const downloader = open(true);
    const { signal } = t;

    const look = await downloader.look(`${origin}/feed.xml`, dir, { signal });

    assert.ok(look.kind === "playlist" && look.videos.length === 50 && look.isCut);
    assert.deepEqual(look.videos[1]?.url, "https://e.example/1");
    await assert.rejects(
      downloader.fetch(`${origin}/feed.xml`, dir, { signal }),
      hasKind("contract"),
    );
    await assert.rejects(downloader.fetch(`${origin}/live.m3u8`, dir, { signal }), /live stream/);
  });

  test("configuration and plugins of whoever runs it are not read", async (t) => {
    const home = await folder(t);
    const canary = join(home, "canary");
    const extractors = join(home, ".config/yt-dlp/plugins/any/yt_dlp_plugins/extractor");
    mkdirSync(extractors, { recursive: true });
    writeFileSync(join(extractors, "bad.py"), `open(${JSON.stringify(canary)}, "w")\n`);
    writeFileSync(join(home, ".config/yt-dlp/config"), `--exec "touch ${canary}"\n`);
    const dir = await folder(t);
    const { origin } = await serveSite(t, {
      "/a.mp4": { type: "video/mp4", body: makeVideo(dir) },
    });
    const env = { ...io.env, HOME: home, XDG_CONFIG_HOME: join(home, ".config") };
    const downloader = openDownloader({ io: { ...io, env }, settings: { allowPrivateUrls: true } });

    await downloader.fetch(`${origin}/a.mp4`, join(dir, "to"), { signal: t.signal });

    assert.equal(existsSync(canary), false);
  });
});
