import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { hasKind } from "../../core/errors.ts";
import { openDownloader } from "./downloader.ts";
import { fetchArguments, lookArguments, parseProgress } from "./yt-dlp-arguments.ts";
import { describeFailure } from "./yt-dlp-failure.ts";
import { SiteInfo, chooseCaptions, describeItem, readLook } from "./yt-dlp-info.ts";
import { ageOfVersion } from "./yt-dlp-version.ts";

const URL_OF_VIDEO = new URL("https://example.org/watch?v=abc");
const plain = {
  url: "https://example.org/v?a=--exec",
  soundOnly: false,
  captions: [],
  lookFile: null,
  proxy: null,
};

describe("the downloader", () => {
  test("the URL comes last, after `--`, and nothing of the machine is configured in", () => {
    for (const args of [fetchArguments(plain), lookArguments(plain.url)]) {
      assert.deepEqual(args.slice(-2), ["--", plain.url]);
      assert.ok(args.includes("--ignore-config") && args.includes("--no-exec"));
      assert.ok(!args.some((arg) => /netrc|cookies|write-link|exec-before|plugin/.test(arg)));
    }
    const fromLook = fetchArguments({ ...plain, lookFile: "/dir/look.json" });
    assert.deepEqual(fromLook.slice(-2), ["--load-info-json", "/dir/look.json"]);
  });

  test("sound alone is asked for only where it is enough, and captions only where there are some", () => {
    assert.ok(!fetchArguments(plain).includes("--format"));
    assert.ok(fetchArguments({ ...plain, soundOnly: true }).includes("ba/b"));
    assert.ok(!fetchArguments(plain).includes("--write-subs"));
    const args = fetchArguments({ ...plain, captions: ["en", "de"] });
    assert.equal(args[args.indexOf("--sub-langs") + 1], "en,de");
  });

  test("progress is read from its own lines and no others", () => {
    const line = "clipscribe  42.5% 1048576 2097152.5";

    assert.deepEqual(parseProgress(line), {
      fraction: 0.425,
      bytes: 1_048_576,
      bytesPerSecond: 2_097_152.5,
    });
    assert.deepEqual(parseProgress("clipscribe 100.0% NA NA"), {
      fraction: 1,
      bytes: null,
      bytesPerSecond: null,
    });
    assert.equal(parseProgress("[download] 42.5% of 3MiB"), undefined);
  });

  test("captions are those preferred, else those of the spoken language, else one", () => {
    const info = (subtitles: string[], language: string | null = null) =>
      SiteInfo.parse({
        language,
        subtitles: Object.fromEntries(subtitles.map((each) => [each, []])),
      });

    assert.deepEqual(chooseCaptions(info(["de", "en-US", "fr"]), ["en"]), ["en-US"]);
    assert.deepEqual(chooseCaptions(info(["de", "fr"], "fr"), ["en"]), ["fr"]);
    assert.deepEqual(chooseCaptions(info(["de", "fr"]), ["en"]), ["de"]);
    assert.deepEqual(chooseCaptions(info(["live_chat", ".*", "--exec"]), ["en"]), []);
    assert.equal(chooseCaptions(info(["en", "en-GB", "en-US", "en-AU"]), ["en"]).length, 3);
  });

  test("a live stream is refused; of a playlist fifty are taken, web addresses only", () => {
    const entries = Array.from({ length: 51 }, (_, at) => ({ url: `https://e.org/${at}` }));
    const look = readLook(SiteInfo.parse({ entries }), URL_OF_VIDEO);
    const mixed = readLook(
      SiteInfo.parse({
        entries: [{ url: "file:///etc/passwd" }, null, { url: "https://e.org/1" }],
      }),
      URL_OF_VIDEO,
    );

    assert.ok(look.kind === "playlist" && look.videos.length === 50 && look.isCut);
    assert.ok(mixed.kind === "playlist" && mixed.videos.length === 1 && !mixed.isCut);
    for (const live of [{ is_live: true }, { live_status: "is_upcoming" }]) {
      assert.throws(() => readLook(SiteInfo.parse(live), URL_OF_VIDEO), hasKind("contract"));
    }
    assert.throws(
      () => readLook(SiteInfo.parse({ entries: [] }), URL_OF_VIDEO),
      hasKind("contract"),
    );
  });

  test("what a site says is text: other types are nothing, escapes are gone", () => {
    const info = SiteInfo.parse({
      title: "\u001b[31mred\u202e",
      view_count: "many",
      upload_date: "20260102",
    });

    const item = describeItem(info, URL_OF_VIDEO, "media.mp4");

    assert.deepEqual([item.title, item.view_count, item.published_at], ["red", null, "2026-01-02"]);
  });

  const last = (stderr: string) => ({
    exitCode: 1,
    endedBy: null,
    stdout: "",
    stderr: `WARNING: x\nERROR: ${stderr}\n`,
    capped: null,
  });
  for (const [stderr, kind] of [
    ["[youtube] abc: Private video. Sign in if you've been granted access", "denied"],
    ["[youtube] abc: Sign in to confirm you’re not a bot", "denied"],
    ["unable to download video data: HTTP Error 403: Forbidden", "denied"],
    ["[youtube] abc: HTTP Error 429: Too Many Requests", "transient"],
    ["[youtube] abc: Video unavailable", "contract"],
    ["[generic] Unable to download webpage: HTTP Error 404: Not Found", "contract"],
    ["[youtube] abc: nsig extraction failed: Some formats may be missing", "contract"],
    [
      "[generic] Unable to download webpage: <urlopen error [Errno 111] Connection refused>",
      "transient",
    ],
  ] as const) {
    test(`"${stderr.slice(0, 50)}" is ${kind}, and an old yt-dlp is named`, () => {
      const error = describeFailure(
        last(stderr),
        URL_OF_VIDEO,
        "yt-dlp is 997 days old: update it",
      );

      assert.equal(error.kind, kind);
      if (!stderr.includes("429")) assert.match(error.hint ?? "", /997 days old/);
    });
  }

  test("a version is a date; what is no date has no age", () => {
    const now = new Date("2026-11-25T00:00:00Z");

    assert.deepEqual(ageOfVersion("2023.03.04", now), {
      days: 1362,
      isOld: true,
      hasKnownHoles: true,
    });
    assert.deepEqual(ageOfVersion("2026.11.20", now), {
      days: 5,
      isOld: false,
      hasKnownHoles: false,
    });
    assert.equal(ageOfVersion("unknown", now), undefined);
  });

  for (const url of [
    "file:///etc/passwd",
    "--exec=rm",
    "javascript:1",
    "https://a:b@example.org",
    "https://exa mple.org",
  ]) {
    test(`${url} never reaches yt-dlp`, async (t) => {
      const downloader = openDownloader({
        io: { env: {}, platform: "linux" },
        settings: { allowPrivateUrls: true },
      });

      const { signal } = t;
      await assert.rejects(downloader.fetch(url, "/nowhere", { signal }), hasKind("contract"));
      await assert.rejects(downloader.look(url, "/nowhere", { signal }), hasKind("contract"));
    });
  }
});
