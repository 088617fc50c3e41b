import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";

import { hasKind } from "../../core/errors.ts";
import { describeSandbox, detectSandbox } from "./detect-sandbox.ts";
import { planSandbox } from "./sandbox-plan.ts";
import type { Confinement } from "./sandbox-plan.ts";
import { openSandbox } from "./sandboxed.ts";
import type { SandboxedCall, SandboxedResult } from "./sandboxed.ts";

const kind = detectSandbox({ platform: process.platform });
const CAPS = { memoryBytes: 512 * 1024 * 1024, cpuSeconds: 20, fileBytes: 1024 * 1024 };
const isolated = kind === "bubblewrap" || kind === "sandbox-exec";
const needsIsolation = isolated ? {} : { skip: `no full sandbox here: ${describeSandbox(kind)}` };

async function folder(t: TestContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), "clipscribe-sandbox-"));
  t.after(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

async function shell(
  t: TestContext,
  script: string,
  options: Partial<SandboxedCall> = {},
): Promise<SandboxedResult> {
  return openSandbox(kind).run({
    program: "/bin/sh",
    args: ["-c", script],
    readable: [],
    writableDir: options.writableDir ?? (await folder(t)),
    network: "none",
    caps: CAPS,
    timeoutMs: 20_000,
    maxStdoutBytes: 1024 * 1024,
    signal: t.signal,
    ...options,
  });
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

describe("a sandboxed child", () => {
  test("reaches no server on loopback", needsIsolation, async (t) => {
    let connections = 0;
    const server = createServer((_request, response) => response.end("secret"));
    server.on("connection", () => connections++);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    t.after(() => server.close());
    const { port } = server.address() as AddressInfo;
    const script = `const s = require("node:net").connect(${port}, "127.0.0.1");
      s.on("connect", () => console.log("reached")); s.on("error", () => console.log("refused"));`;

    const { stdout } = await openSandbox(kind).run({
      program: process.execPath,
      args: ["-e", script],
      readable: [process.execPath],
      writableDir: await folder(t),
      network: "none",
      caps: { ...CAPS, memoryBytes: 64 * 1024 ** 3 },
      timeoutMs: 20_000,
      maxStdoutBytes: 1024,
      signal: t.signal,
    });

    assert.equal(stdout.trim(), "refused");
    assert.equal(connections, 0);
  });

  test("with a gate reaches the gate, and nothing beside it", needsIsolation, async (t) => {
    const servers: Record<string, string[]> = { gate: [], other: [] };
    const serve = async (name: string, ...where: [number, string] | [string]): Promise<number> => {
      const server = createServer((request, response) => {
        servers[name]?.push(request.url ?? "");
        response.end(name);
      });
      await new Promise<void>((resolve) => server.listen(...(where as [string]), resolve));
      t.after(() => server.close());
      return (server.address() as Partial<AddressInfo>).port ?? 0;
    };
    const socket = join(await folder(t), "gate");
    await serve("gate", socket);
    const port = await serve("gate", 0, "127.0.0.1");
    const other = await serve("other", 0, "127.0.0.1");
    const ask = `for (const port of [${port}, ${other}]) {
      await fetch("http://127.0.0.1:" + port + "/hello").then(async (answer) => console.log(await answer.text()), () => console.log("refused"));
    } process.exitCode = 3;`;

    const { stdout, exitCode } = await openSandbox(kind).run({
      program: process.execPath,
      args: ["--input-type=module", "-e", ask],
      readable: [process.execPath],
      writableDir: await folder(t),
      network: { port, socket, node: process.execPath },
      caps: { ...CAPS, memoryBytes: 64 * 1024 ** 3 },
      timeoutMs: 20_000,
      maxStdoutBytes: 1024,
      signal: t.signal,
    });

    assert.deepEqual(stdout.trim().split("\n"), ["gate", "refused"]);
    assert.deepEqual([servers["gate"], servers["other"]], [["/hello"], []]);
    assert.equal(exitCode, 3);
  });

  test("sees no home folder and no file that was not named", needsIsolation, async (t) => {
    const other = await folder(t);
    await writeFile(join(other, "canary"), "secret");

    const { stdout } = await shell(
      t,
      `ls -A ${homedir()} 2>/dev/null | wc -l; cat ${other}/canary 2>/dev/null || echo hidden`,
    );

    assert.deepEqual(stdout.trim().split(/\s+/), ["0", "hidden"]);
  });

  test("reads the named file, writes its folder, and nothing else", async (t) => {
    const given = await folder(t);
    const writable = await folder(t);
    await writeFile(join(given, "in put"), "hello");
    const script = `cat '${given}/in put' > out; (echo x > '${given}/in put') 2>/dev/null; echo done`;

    await shell(t, script, { readable: [join(given, "in put")], writableDir: writable });

    assert.equal(await readFile(join(writable, "out"), "utf8"), "hello");
    if (isolated) assert.equal(await readFile(join(given, "in put"), "utf8"), "hello");
  });

  test("gets none of our environment", async (t) => {
    process.env["CANARY_API_KEY"] = "secret-canary";
    t.after(() => delete process.env["CANARY_API_KEY"]);

    const { stdout } = await shell(t, "env");

    assert.doesNotMatch(stdout, /canary|AWS_|PROXY/i);
  });

  test("ends with all of its children when its time is up", async (t) => {
    const writableDir = await folder(t);
    // Outside of a pid namespace, the grandchild's number is its own.
    const script = "sleep 600 & echo $! > pid; sleep 600";

    const result = await shell(t, script, { timeoutMs: 300, writableDir });

    assert.equal(result.capped, "time");
    const pid = Number(await readFile(join(writableDir, "pid"), "utf8"));
    if (kind !== "bubblewrap") assert.equal(isRunning(pid), false);
  });

  test("ends when the signal aborts, with the reason of the abort", async (t) => {
    const abort = new AbortController();
    const reason = new Error("stop");
    const running = shell(t, "echo started >&2; sleep 600", {
      signal: abort.signal,
      onLine: () => abort.abort(Object.assign(reason, { name: "AbortError" })),
    });

    await assert.rejects(running, hasKind("cancelled"));
  });

  test("is ended when it writes too much to stdout", async (t) => {
    const { capped, stdout } = await shell(t, "while :; do echo aaaaaaaaaaaaaaaa; done", {
      maxStdoutBytes: 100_000,
    });

    assert.equal(capped, "output");
    assert.ok(stdout.length <= 100_000);
  });

  test("can't write a file beyond its bound", async (t) => {
    const writableDir = await folder(t);

    await shell(t, "head -c 5000000 /dev/zero > big", { writableDir });

    assert.ok((await readFile(join(writableDir, "big"))).length <= CAPS.fileBytes);
  });

  const onLinux = process.platform === "linux" ? {} : { skip: "ulimit -v is ignored here" };
  test("gets no more memory than its bound", onLinux, async (t) => {
    const script = "head -c 900000000 /dev/zero | tail -n 1 | wc -c";

    const { stdout, stderr } = await shell(t, script);

    assert.match(`${stdout}${stderr}`, /memory|exhausted|^0/i);
  });

  test("a program that isn't there is a config error", async (t) => {
    const run = openSandbox("caps").run({
      program: "/bin/sh",
      args: [],
      readable: [],
      writableDir: "/does/not/exist",
      network: "none",
      caps: CAPS,
      timeoutMs: 1_000,
      maxStdoutBytes: 10,
      signal: t.signal,
    });

    await assert.rejects(run, hasKind("config"));
  });
});

describe("the plan of a sandbox", () => {
  const confinement: Confinement = {
    program: "/usr/bin/ffmpeg",
    args: ["-i", "/in/a b"],
    readable: ['/Users/me/a "b".mp4'],
    writableDir: "/private/tmp/w",
    network: "none",
    caps: CAPS,
  };

  test("macOS gets a profile without network, homes or writing, the named file excepted", () => {
    const { program, args } = planSandbox("sandbox-exec", confinement);

    assert.equal(program, "/usr/bin/sandbox-exec");
    assert.match(args[1] ?? "", /\(deny network\*\)/);
    assert.match(args[1] ?? "", /\(deny file-read\* \(subpath "\/Users"\)\)/);
    assert.ok(args[1]?.includes('(allow file-read* (subpath "/Users/me/a \\"b\\".mp4"))'));
  });

  test("a child with a gate is given its port and its socket, and no other network", () => {
    const gate = { port: 4711, socket: "/tmp/e/proxy", node: "/opt/node/bin/node" };
    const online = { ...confinement, network: gate };

    const { args } = planSandbox("bubblewrap", online);
    assert.ok(args.includes("--unshare-all") && !args.includes("--share-net"));
    assert.deepEqual(args.slice(args.indexOf("--"), args.indexOf("--") + 3), [
      "--",
      gate.node,
      "-e",
    ]);
    assert.match(
      planSandbox("sandbox-exec", online).args[1] ?? "",
      /\(deny network\*\)\(allow network-outbound \(remote ip "localhost:4711"\)\)/,
    );
    assert.ok(!planSandbox("namespaces", online).args.includes("--net"));
  });

  test("the strongest kind that works is taken, caps where none does", () => {
    const works = (program: string): boolean => program === "unshare";

    assert.equal(detectSandbox({ platform: "linux", works }), "namespaces");
    assert.equal(detectSandbox({ platform: "linux", works: () => false }), "caps");
    assert.equal(detectSandbox({ platform: "darwin", works: () => true }), "sandbox-exec");
    assert.equal(detectSandbox({ platform: "win32", works: () => true }), "caps");
  });
});
