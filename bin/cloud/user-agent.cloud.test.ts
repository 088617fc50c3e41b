/**
 * The whole of a user's evening with nothing but a user's credentials: a laptop that holds no key of
 * the bucket, a command that signs credentials for it, and a runner on a server.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { globSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";

import { openSmallCloud, until } from "../../samples/small-cloud.ts";

const CLI = join(import.meta.dirname, "..", "clipscribe.ts");

describe("a laptop with credentials of one user", () => {
  test("hands off what is dropped, and brings the results", async (t) => {
    const { dir, cloud, pipeline } = await openSmallCloud(t);
    const { env: server } = cloud;
    // As ssh would run it on the server: its environment, and no word of the laptop's.
    const command = join(dir, "credentials.mjs");
    const args = [CLI, "cloud", "credentials", "--user", "me", "--json"];
    writeFileSync(
      command,
      `import { execFileSync } from "node:child_process";
       const options = { env: ${JSON.stringify(server)}, stdio: ["ignore", "inherit", "inherit"] };
       execFileSync(process.execPath, ${JSON.stringify(args)}, options);`,
    );
    cloud.startRunner("one");
    const home = join(dir, "laptop");
    mkdirSync(join(home, "inbox"), { recursive: true });
    const laptop = {
      PATH: process.env["PATH"] ?? "",
      HOME: home,
      CLIPSCRIBE_HOME: home,
      CLIPSCRIBE_STORE: server["CLIPSCRIBE_STORE"] ?? "",
      CLIPSCRIBE_USER: "me",
      CLIPSCRIBE_SETTLE_MS: "100",
      CLIPSCRIBE_POLL_MS: "500",
      R2_ENDPOINT: server["R2_ENDPOINT"] ?? "",
      // As `cloud apply --save` writes them where the account was set up on this laptop.
      CLIPSCRIBE_QUEUE: "cloudflare",
      CLOUDFLARE_ACCOUNT_ID: server["CLOUDFLARE_ACCOUNT_ID"] ?? "",
      CLIPSCRIBE_QUEUE_URGENT: server["CLIPSCRIBE_QUEUE_URGENT"] ?? "",
      CLIPSCRIBE_QUEUE_BATCH: server["CLIPSCRIBE_QUEUE_BATCH"] ?? "",
      CLIPSCRIBE_CREDENTIALS_COMMAND: `${process.execPath} ${command}`,
    };
    let said = "";
    const agent = spawn(process.execPath, [CLI, "up", "--json", "--pipeline", pipeline], {
      cwd: dir,
      env: laptop,
      stdio: ["ignore", "pipe", "pipe"],
    });
    for (const stream of [agent.stdout, agent.stderr]) {
      stream.on("data", (chunk: Buffer) => (said += chunk.toString()));
    }
    const ended = new Promise((resolve) => agent.once("close", resolve));
    t.after(async () => {
      agent.kill("SIGKILL");
      await ended;
    });
    writeFileSync(join(home, "inbox", "talk.mp4"), silence());

    const result = await until(
      async () => globSync(join(home, "results", "*", "*", "out.txt"))[0],
      "the result on the laptop",
    ).catch((error: unknown) => {
      throw new Error(`${String(error)}\n${said}`);
    });

    assert.match(readFileSync(result, "utf8"), /^heard: RIFF/);
    assert.doesNotMatch(said, /refuses|denied/);
    assert.doesNotMatch(said, new RegExp(server["R2_SECRET_ACCESS_KEY"] ?? "none"));
  });
});

/** A tenth of a second of it, as WAV. */
function silence(): Buffer {
  const rate = 8_000;
  const samples = Buffer.alloc(rate / 10, 0x80);
  const head = Buffer.alloc(44);
  head.write("RIFF", 0);
  head.writeUInt32LE(36 + samples.length, 4);
  head.write("WAVEfmt ", 8);
  head.writeUInt32LE(16, 16);
  head.writeUInt16LE(1, 20);
  head.writeUInt16LE(1, 22);
  head.writeUInt32LE(rate, 24);
  head.writeUInt32LE(rate, 28);
  head.writeUInt16LE(1, 32);
  head.writeUInt16LE(8, 34);
  head.write("data", 36);
  head.writeUInt32LE(samples.length, 40);
  return Buffer.concat([head, samples]);
}
