/** PostgreSQL and Redis on loopback in folders of their own, both with fsync; ended by their pids. */
import { execFileSync, spawn } from "node:child_process";
import { chownSync, globSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

export interface Peers extends AsyncDisposable {
  postgres: string;
  redisPort: number;
}

export async function startPeers(): Promise<Peers> {
  const dir = mkdtempSync(join(tmpdir(), "clipscribe-peers-"));
  const [bin = ""] = globSync("/usr/lib/postgresql/*/bin/initdb").toReversed();
  const tools = bin === "" ? "" : `${dirname(bin)}/`;
  const data = join(dir, "postgres");
  mkdirSync(data);
  // PostgreSQL does not run as root.
  const isRoot = process.getuid?.() === 0;
  const as = isRoot ? ["runuser", "-u", "postgres", "--"] : [];
  if (isRoot) {
    const [uid = 0, gid = 0] = ["-u", "-g"].map((flag) =>
      Number(execFileSync("id", [flag, "postgres"]).toString()),
    );
    chownSync(dir, uid, gid);
    chownSync(data, uid, gid);
  }
  const run = (command: readonly string[]): void => {
    const [program = "", ...args] = command;
    execFileSync(program, args, { stdio: "ignore", cwd: "/" });
  };
  run([...as, `${tools}initdb`, "-D", data, "-A", "trust", "-U", "bench"]);
  const port = await freePort();
  const started = (command: readonly string[]) => {
    const [program = "", ...args] = command;
    return spawn(program, args, { stdio: "ignore", cwd: "/" });
  };
  const sockets = ["-c", "listen_addresses=127.0.0.1", "-k", dir];
  const postgres = started([...as, `${tools}postgres`, "-D", data, "-p", String(port), ...sockets]);
  const redisPort = await freePort();
  const durable = ["--appendonly", "yes", "--appendfsync", "always", "--save", ""];
  const redis = started([
    "redis-server",
    ...["--port", String(redisPort), "--bind", "127.0.0.1", "--dir", dir],
    ...durable,
  ]);
  for (let tries = 0; tries < 100; tries++) {
    try {
      run([`${tools}pg_isready`, "-h", "127.0.0.1", "-p", String(port)]);
      break;
    } catch {
      await delay(100);
    }
  }
  return {
    postgres: `postgres://bench@127.0.0.1:${port}/postgres`,
    redisPort,
    async [Symbol.asyncDispose]() {
      const ends = [postgres, redis].map(
        async (child) => new Promise((resolve) => child.once("close", resolve)),
      );
      // Fast shutdown: sessions are ended.
      postgres.kill("SIGINT");
      redis.kill("SIGTERM");
      await Promise.race([Promise.all(ends), delay(5_000)]);
      for (const child of [postgres, redis]) child.kill("SIGKILL");
      rmSync(dir, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Milliseconds that all processes of this machine share. */
export function nowMs(): number {
  return performance.timeOrigin + performance.now();
}
