import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { hasKind } from "../../core/errors.ts";
import { downloadArguments, isPrivateAddress, openDownloader } from "./downloader.ts";

describe("the downloader", () => {
  test("the URL comes last, after `--`, and nothing of the machine is configured in", () => {
    const args = downloadArguments("https://example.org/v?a=--exec");

    assert.deepEqual(args.slice(-2), ["--", "https://example.org/v?a=--exec"]);
    assert.ok(args.includes("--ignore-config") && args.includes("--no-exec"));
    assert.ok(!args.some((arg) => /netrc|cookies|write-link|exec-before|plugin/.test(arg)));
  });

  for (const address of [
    "127.0.0.1",
    "10.1.2.3",
    "172.31.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "::1",
    "fe80::1",
    "fd00::1",
    "::ffff:127.0.0.1",
  ]) {
    test(`${address} is private`, () => assert.equal(isPrivateAddress(address), true));
  }
  for (const address of ["1.1.1.1", "93.184.216.34", "2606:4700:4700::1111"]) {
    test(`${address} is public`, () => assert.equal(isPrivateAddress(address), false));
  }

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
