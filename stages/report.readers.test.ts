import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";
import { promisify } from "node:util";

import { runStage } from "../runner/stage-harness.ts";
import extract from "./extract.ts";
import graph from "./graph.ts";
import report from "./report.ts";

const run = promisify(execFile);
const ROOT = join(import.meta.dirname, "..");

/** Opens a page as a person would, from file://, and returns the DOM after its script ran. */
async function openInChromium(t: TestContext, html: string): Promise<{ dom: string; log: string }> {
  const dir = await mkdtemp(join(tmpdir(), "clipscribe-chromium-"));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const file = join(dir, "report.html");
  await writeFile(file, html);
  const { stdout, stderr } = await run(
    "chromium",
    [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-dev-shm-usage",
      `--user-data-dir=${join(dir, "profile")}`,
      "--virtual-time-budget=3000",
      "--enable-logging=stderr",
      "--v=0",
      "--dump-dom",
      `file://${file}`,
    ],
    { timeout: 60_000, maxBuffer: 64 * 1024 * 1024 },
  );
  const log = stderr
    .split("\n")
    .filter((line) => line.includes("CONSOLE"))
    .join("\n");
  return { dom: stdout, log };
}

async function makeReport(t: TestContext, hostile: string, url: string | null): Promise<string> {
  const segments = [
    {
      id: "s0001",
      start: 1,
      end: 4,
      text: `Mayor Elena Vasquez paid $4.2 million. ${hostile}`,
      speaker: `Ada ${hostile}`,
    },
    {
      id: "s0002",
      start: 4,
      end: 9,
      text: "Elena Vasquez leads the Harbor Bridge Authority in Oslo.",
      speaker: "Ada",
    },
  ];
  const transcript = {
    schema: 1,
    language: "en",
    duration: 10,
    provider: "captions:sidecar",
    model: null,
    segments,
  };
  const found = await runStage(t, extract, { input: { transcript } });
  const { intelligence } = found.json;
  const drawn = await runStage(t, graph, { input: { intelligence } });
  const media = {
    schema: 1,
    container: "mp4",
    duration: 10,
    bit_rate: null,
    title: hostile,
    created_at: null,
    has_video: true,
    has_audio: true,
    streams: [],
    chapters: [],
  };
  const item = {
    title: hostile,
    url,
    file_name: `${hostile}.mp4`,
    platform: null,
    channel: hostile,
    published_at: null,
    view_count: null,
    description: hostile,
    thumbnail_url: null,
  };
  const provenance = {
    pipeline: "clipscribe",
    clipscribe_version: "0",
    source_sha256: "0",
    stages: [],
  };
  const made = await runStage(t, report, {
    input: {
      transcript,
      intelligence,
      knowledge_graph: drawn.json["knowledge_graph"],
      media,
      item,
      provenance,
    },
    params: {
      template: await readFile(join(ROOT, "templates", "report.md"), "utf8"),
      html_template: await readFile(join(ROOT, "templates", "report.html"), "utf8"),
    },
  });
  return made.text("report_html");
}

describe("report.html in Chromium, from file://", () => {
  test("its script runs, and nothing is refused by its own policy", async (t) => {
    const { dom, log } = await openInChromium(t, await makeReport(t, "plain", null));

    assert.doesNotMatch(dom, /<input id="find"[^>]*hidden/);
    assert.match(dom, /<svg[^>]*class="graph"/);
    assert.doesNotMatch(log, /Content Security Policy|Uncaught|SyntaxError/);
  });

  test("hostile titles, names and words run nothing and reach nobody", async (t) => {
    let requests = 0;
    const server = createServer((_request, response) => {
      requests++;
      response.end();
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    t.after(() => server.close());
    const { port } = server.address() as AddressInfo;
    const host = `http://127.0.0.1:${port}`;
    const hostile = `<svg onload="document.title='pwned'"><img src="${host}/x"><script>document.title='pwned';fetch('${host}')</script>{{ csp }}"' onmouseover='1' ]]> --> </style></script>`;

    const { dom } = await openInChromium(t, await makeReport(t, hostile, "javascript:alert(1)"));

    assert.doesNotMatch(dom, /<title>pwned/);
    assert.doesNotMatch(dom, /href="javascript:/);
    assert.equal(requests, 0);
    assert.match(dom, /&lt;svg onload/);
  });
});
