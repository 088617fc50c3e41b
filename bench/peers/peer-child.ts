/** A worker of a peer: writes a line `id milliseconds` when a job has come to it. */
import { loadBullMq, loadGraphile } from "./load-peer.ts";
import { nowMs } from "./start-peers.ts";

const [peer = "", address = "", concurrency = "1"] = process.argv.slice(2);
const entered = (id: string): void => void process.stdout.write(`${id} ${nowMs()}\n`);

if (peer === "graphile-worker") {
  await loadGraphile().run({
    connectionString: address,
    concurrency: Number(concurrency),
    noHandleSignals: true,
    pollInterval: 1_000,
    logger: undefined,
    taskList: { only: async ({ id }: { id: string }) => Promise.resolve(entered(id)) },
  });
} else {
  const { Worker } = loadBullMq();
  const connection = { host: "127.0.0.1", port: Number(address), maxRetriesPerRequest: null };
  void new Worker("only", async ({ data }) => Promise.resolve(entered(data.id)), {
    connection,
    concurrency: Number(concurrency),
  });
}
process.stdout.write("ready 0\n");
