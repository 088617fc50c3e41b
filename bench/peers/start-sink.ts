/** The discarding sink and the emulator as processes of their own, ended by their handles. */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";

import type { EmulatorAddress } from "../../emulator/emulator.ts";
import type { S3Place } from "./rclone.ts";

export interface StartedPlace extends AsyncDisposable {
  place: S3Place;
  address: EmulatorAddress | null;
}

export async function startSink(): Promise<StartedPlace> {
  const { line, end } = await start([join(import.meta.dirname, "discarding-sink.ts")]);
  const endpoint = `http://127.0.0.1:${line}`;
  const place = { endpoint, bucket: "bucket", accessKeyId: "key", secretAccessKey: "secret" };
  return { place, address: null, [Symbol.asyncDispose]: end };
}

export async function startEmulator(dir: string): Promise<StartedPlace> {
  const program = join(import.meta.dirname, "..", "..", "bin", "clipscribe.ts");
  const { line, end } = await start([program, "emulator", "--port", "0", "--dir", dir]);
  const address = JSON.parse(line) as EmulatorAddress;
  const place = {
    endpoint: address.s3_endpoint,
    bucket: address.bucket,
    accessKeyId: address.access_key_id,
    secretAccessKey: address.secret_access_key,
  };
  return { place, address, [Symbol.asyncDispose]: end };
}

async function start(args: readonly string[]): Promise<{ line: string; end: () => Promise<void> }> {
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  const closed = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const lines = createInterface({ input: child.stdout });
  const line = await Promise.race([
    new Promise<string>((resolve) => lines.once("line", resolve)),
    closed.then(() => {
      throw new Error("the server ended before it listened");
    }),
  ]);
  return {
    line,
    async end() {
      child.kill();
      await closed;
    },
  };
}
