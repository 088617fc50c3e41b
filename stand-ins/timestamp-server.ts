/**
 * A timestamp authority on loopback that answers with OpenSSL: its own key, its own certificate,
 * and none of the code that it tests.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface TimestampServer extends AsyncDisposable {
  url: string;
  /** The certificate to trust, PEM. */
  certificate: string;
  asked: () => number;
}

export async function startTimestampServer(): Promise<TimestampServer> {
  const dir = mkdtempSync(join(tmpdir(), "clipscribe-tsa-"));
  const at = (name: string): string => join(dir, name);
  const openssl = (...args: string[]): Buffer =>
    execFileSync("openssl", args, { cwd: dir, stdio: ["ignore", "pipe", "pipe"] });
  writeFileSync(at("serial"), "01\n");
  writeFileSync(
    at("tsa.cnf"),
    `[req]\ndistinguished_name = dn\nprompt = no\nx509_extensions = ext\n[dn]\nCN = Stand-in TSA\n` +
      `[ext]\nbasicConstraints = critical,CA:TRUE\nextendedKeyUsage = critical,timeStamping\n` +
      `[tsa]\ndefault_tsa = one\n[one]\nserial = ${at("serial")}\ncrypto_device = builtin\n` +
      `signer_cert = ${at("tsa.pem")}\ncerts = ${at("tsa.pem")}\nsigner_key = ${at("tsa.key")}\n` +
      `signer_digest = sha256\ndefault_policy = 1.2.3.4.1\ndigests = sha256\naccuracy = secs:1\n`,
  );
  const key = ["-newkey", "rsa:2048", "-nodes", "-keyout", "tsa.key"];
  openssl("req", "-x509", "-config", "tsa.cnf", ...key, "-out", "tsa.pem", "-days", "2");
  let asked = 0;
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      asked++;
      if (request.headers["content-type"] !== "application/timestamp-query") {
        response.writeHead(415).end();
        return;
      }
      writeFileSync(at("query.tsq"), Buffer.concat(chunks));
      const answer = openssl("ts", "-reply", "-config", "tsa.cnf", "-queryfile", "query.tsq");
      response.writeHead(200, { "content-type": "application/timestamp-reply" }).end(answer);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/tsr`,
    certificate: at("tsa.pem"),
    asked: () => asked,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
