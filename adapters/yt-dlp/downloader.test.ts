import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { hasKind } from "../../core/errors.ts";
import { downloadArguments, openDownloader } from "./downloader.ts";

describe("the downloader", () => {
  test("the URL comes last, after `--`, and nothing of the machine is configured in", () => {
    const args = downloadArguments("https://example.org/v?a=--exec");

    assert.deepEqual(args.slice(-2), ["--", "https://example.org/v?a=--exec"]);
    assert.ok(args.includes("--ignore-config") && args.includes("--no-exec"));
    assert.ok(!args.some((arg) => /netrc|cookies|write-link|exec-before|plugin/.test(arg)));
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

      await assert.rejects(
        downloader.fetch(url, "/nowhere", { signal: t.signal }),
        hasKind("contract"),
      );
    });
  }
});
