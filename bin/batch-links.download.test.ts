import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";

import { until } from "../samples/batch-world.ts";
import { makeStream, serveSite } from "../samples/video-site.ts";

const CLI = join(import.meta.dirname, "clipscribe.ts");

function person(t: TestContext) {
  const dir = mkdtempSync(join(tmpdir(), "clipscribe-links-"));
  const env = {
    PATH: process.env["PATH"],
    HOME: dir,
    CLIPSCRIBE_HOME: join(dir, "home"),
    // The site of this test is on loopback.
    CLIPSCRIBE_ALLOW_PRIVATE: "url",
  };
  t.after(() => rmSync(dir, { recursive: true, force: true, maxRetries: 5 }));
  const start = (...args: string[]) => {
    const child = spawn(process.execPath, [CLI, ...args], { cwd: dir, env });
    t.after(() => child.kill("SIGKILL"));
    let stdout = "";
    let stderr = "";
    child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
    const ended = new Promise<{ code: number | null; stdout: string; stderr: string }>((resolve) =>
      child.once("close", (code) => resolve({ code, stdout, stderr })),
    );
    return { child, ended };
  };
  return { dir, start, run: async (...args: string[]) => start(...args).ended };
}

describe("a list of links", () => {
  test("goes from the site to reports: sound alone, captions for nothing, and what is dead fails alone", async (t) => {
    const { dir, start, run } = person(t);
    const media = mkdtempSync(join(tmpdir(), "clipscribe-site-"));
    t.after(() => rmSync(media, { recursive: true, force: true }));
    const files = makeStream(media);
    const talk = files["/talk.m3u8"];
    assert.ok(talk !== undefined);
    const live =
      "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:9\n#EXTINF:4,\nsound0.ts\n";
    const { origin, requests } = await serveSite(t, {
      ...files,
      "/second.m3u8": talk,
      "/feed.xml": { type: "application/rss+xml", body: "" },
      "/live.m3u8": { type: "application/vnd.apple.mpegurl", body: live },
    });
    const feed = ["second.m3u8", "gone-too.mp4"].map(
      (name) => `<item><title>Of ${name}</title><link>${origin}/${name}</link></item>`,
    );
    const rss = `<?xml version="1.0"?><rss version="2.0"><channel><title>All</title>${feed.join("")}</channel></rss>`;
    const site = await serveSite(t, { "/feed.xml": { type: "application/rss+xml", body: rss } });
    const list = join(dir, "council.txt");
    writeFileSync(
      list,
      `# the council\n${origin}/talk.m3u8\n${origin}/gone.mp4 --exec id\n${site.origin}/feed.xml\n${origin}/live.m3u8\nfile:///etc/passwd\n`,
    );
    const up = start("up", "--json");
    const lock = join(dir, "home", ".clipscribe-lock.json");
    await until(() => Promise.resolve(existsSync(lock) || undefined), "the agent");

    const submitted = await run("batch", "submit", "--json", list);
    const end = JSON.parse(submitted.stdout.trim().split("\n").at(-1) ?? "") as {
      job_id: string;
      items: { item_id: string; status: string; error: { message: string } | null }[];
    };
    const watched = await run("batch", "status", end.job_id, "--watch");
    const audit = await run("audit", "--json");
    up.child.kill("SIGTERM");

    assert.equal(submitted.code, 4, submitted.stderr + submitted.stdout);
    assert.match(submitted.stdout, /council\.txt:3: what stands behind the address is left out/);
    assert.match(submitted.stdout, /council\.txt:6: .*file:/);
    const why = Object.fromEntries(
      end.items.map(({ item_id: item, error }) => [item, error?.message.slice(0, 24) ?? ""]),
    );
    assert.deepEqual(why, {
      talk: "",
      "gone-mp4": "there is no video to dow",
      "of-second-m3u8": "",
      "of-gone-too-mp4": "there is no video to dow",
      live: "a live stream has no end",
      "line-6": "line 6: not a usable URL",
    });
    assert.equal(watched.code, 5, watched.stdout);
    assert.match(watched.stdout, /finished: 2 complete, 4 failed/);
    assert.ok(!requests.some((path) => /^\/picture\d/.test(path)), "nobody looks at the picture");
    const folder = join(dir, "home", "results", end.job_id, "talk");
    assert.match(readFileSync(join(folder, "transcript.txt"), "utf8"), /We will vote tonight/);
    const { counts, problems } = JSON.parse(audit.stdout) as { counts: object; problems: string[] };
    assert.deepEqual([counts, problems], [{ complete: 2, failed: 4 }, []]);
  });
});
