/** One watcher in a process of its own: says when it is ready, and what it sees when. */
import { createRequire } from "node:module";
import { watch } from "node:fs";
import { relative } from "node:path";

import { openFolderWatch } from "../../adapters/folder-watch/folder-watch.ts";

const [kind = "", root = "", watchers = ""] = process.argv.slice(2);
const required = createRequire(watchers);
const nowMs = (): number => performance.timeOrigin + performance.now();

let isReady = false;
let pending: [string, number][] = [];
/** Sent together: a message for each of a burst would measure the pipe. */
function see(path: string): void {
  if (!isReady) return;
  if (pending.length === 0) setImmediate(flush);
  pending.push([path, nowMs()]);
}
function flush(): void {
  process.send?.({ seen: pending });
  pending = [];
}
function ready(): void {
  isReady = true;
  const { rss } = process.memoryUsage();
  process.send?.({ readyMs: nowMs() - startedMs, rssMb: rss / 1024 ** 2 });
}

const startedMs = nowMs();
switch (kind) {
  case "own": {
    const opened = openFolderWatch(root, {
      onHint: see,
      onMode: (mode) => console.error(JSON.stringify(mode)),
      onTrouble: (error) => console.error(error),
    });
    await opened.ready;
    ready();
    break;
  }
  case "chokidar": {
    const { default: chokidar } = (await import(required.resolve("chokidar"))) as {
      default: {
        watch(
          path: string,
          options: object,
        ): { on(event: string, listener: (...args: string[]) => void): unknown };
      };
    };
    const watcher = chokidar.watch(root, { ignoreInitial: true });
    watcher.on("all", (_event, path) => see(relative(root, path ?? "")));
    watcher.on("ready", () => ready());
    break;
  }
  case "parcel": {
    const { subscribe } = required("@parcel/watcher") as {
      subscribe(
        root: string,
        listener: (error: Error | null, events: { path: string }[]) => void,
      ): Promise<unknown>;
    };
    await subscribe(root, (error, events) => {
      if (error === null) for (const { path } of events) see(relative(root, path));
    });
    ready();
    break;
  }
  case "fs.watch": {
    watch(root, { recursive: true }, (_type, name) => see(name ?? ""));
    ready();
    break;
  }
}
process.on("message", () => process.exit(0));
setInterval(() => {
  const maxRssMb = process.resourceUsage().maxRSS / 1024;
  process.send?.({ maxRssMb });
}, 500);
