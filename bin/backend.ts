/** The store and the queues that the settings name: folders of this machine, or a cloud. */
import { dirname } from "node:path";

import { openStoreReach } from "../adapters/egress/store-reach.ts";
import type { openCloudflareQueue } from "../adapters/cloudflare/cloudflare-queue.ts";
import { openDiskStore } from "../adapters/disk/disk-store.ts";
import type { DiskStore } from "../adapters/disk/disk-store.ts";
import { openSqliteQueue } from "../adapters/sqlite/sqlite-queue.ts";
import { systemClock } from "../adapters/system/system-clock.ts";
import { createRenewingKeys, fixedKeys } from "../adapters/r2/renewing-keys.ts";
import type { BucketKeys, RenewingKeys, StaticKeys } from "../adapters/r2/renewing-keys.ts";
import { ClipscribeError } from "../core/errors.ts";
import { isAccountId, r2Endpoint } from "../core/r2-endpoint.ts";
import type { Jurisdiction } from "../core/r2-endpoint.ts";
import type { Lane } from "../core/ids.ts";
import type { StoreReach } from "../core/sound-route.ts";
import type { EventQueue } from "../ports/event-queue.ts";
import { limited } from "../ports/limited.ts";
import type { Log } from "../ports/log.ts";
import { notifying } from "../ports/notifying.ts";
import type { ObjectStore } from "../ports/object-store.ts";
import { routed } from "../ports/routed.ts";
import { retrying } from "../ports/retrying.ts";
import { WRITE_THREAD_PATH } from "./install.ts";
import { makeFolder } from "./make-folder.ts";
import type { Settings } from "./settings.ts";

const LANES: readonly Lane[] = ["urgent", "batch"];
/** R2 takes one write a second and key: developers.cloudflare.com/r2/platform/limits. */
const R2_WRITE_INTERVAL_MS = 1_000;
/** About half a minute of trouble, before it is the item's. */
const TRIES = { attempts: 7, baseMs: 250, maxMs: 8_000 };

export interface Backend extends AsyncDisposable {
  store: ObjectStore;
  /**
   * Called where a runner works, and nowhere else: a laptop that only hands off and fetches needs no
   * token of the queues, even where its settings name them. @throws `config` where there is none.
   */
  openQueues(): Readonly<Partial<Record<Lane, EventQueue>>>;
  /** Processes of other machines work on the same store. */
  isShared: boolean;
  /** Asked by whoever would let a provider fetch from it. */
  reach: () => Promise<StoreReach>;
}

export async function openBackend(
  settings: Settings,
  log: Log,
  wrap: (store: DiskStore) => DiskStore = (store) => store,
): Promise<Backend> {
  const opened: (Disposable | AsyncDisposable)[] = [];
  const { store: where } = settings;
  if (where.kind === "disk") {
    const disk = openDiskStore({ root: where.path, threadPath: WRITE_THREAD_PATH });
    opened.push(disk);
    const queues = openSqliteQueues(settings, opened);
    const rules = LANES.flatMap((lane) => {
      const queue = queues[lane];
      const prefix = `inbox/${lane}/${settings.user}/`;
      return queue === undefined ? [] : [{ prefix, queue }];
    });
    const store = notifying(wrap(disk), rules, { clock: systemClock, log });
    const openQueues = (): typeof queues => queues;
    return { store, openQueues, isShared: false, reach: nowhere, ...disposing(opened) };
  }
  // Loaded here: on one machine nobody waits for these.
  const { openR2Store } = await import("../adapters/r2/r2-store.ts");
  const { openCloudflareQueue: openQueue } =
    await import("../adapters/cloudflare/cloudflare-queue.ts");
  const endpoint = endpointOf(settings);
  const place = {
    endpoint,
    bucket: where.bucket,
    minWriteIntervalMs: where.kind === "r2" ? R2_WRITE_INTERVAL_MS : 0,
    etags: where.kind === "r2" ? ("md5" as const) : ("opaque" as const),
  };
  const command = settings.all.get("CLIPSCRIBE_CREDENTIALS_COMMAND")?.value ?? null;
  const open = (keys: RenewingKeys<BucketKeys>): ObjectStore => {
    const store = openR2Store({ ...place, keys });
    opened.push(store);
    return store;
  };
  const whole =
    command === null
      ? open(fixedKeys(staticKeys(settings)))
      : routed(...(await openRenewedStores(command, settings, open)));
  const tries = { ...TRIES, clock: systemClock, random: Math.random };
  const store = limited(retrying<ObjectStore>(whole, tries), systemClock);
  const openQueues = (): Partial<Record<Lane, EventQueue>> =>
    settings.queue.kind === "cloudflare" ? openCloudflareQueues(openQueue, settings, log) : {};
  const reach = openStoreReach(endpoint, settings.allowPrivateStore);
  return { store, openQueues, isShared: true, reach, ...disposing(opened) };
}

const nowhere = async (): Promise<StoreReach> => ({
  open: false,
  why: "the store is a folder of this machine",
});

function openSqliteQueues(
  { queue }: Settings,
  opened: (Disposable | AsyncDisposable)[],
): Partial<Record<Lane, EventQueue>> {
  if (queue.kind !== "sqlite") return {};
  makeFolder(dirname(queue.file));
  const queues: Partial<Record<Lane, EventQueue>> = {};
  for (const lane of LANES) {
    const each = openSqliteQueue({ file: queue.file, name: lane });
    queues[lane] = each;
    opened.push(each);
  }
  return queues;
}

function openCloudflareQueues(
  openQueue: typeof openCloudflareQueue,
  settings: Settings,
  log: Log,
): Record<Lane, EventQueue> {
  const budget = settings.all.get("CLIPSCRIBE_QUEUE_OPERATIONS_PER_DAY")?.value ?? "";
  const open = (queueId: string): EventQueue =>
    openQueue({
      baseUrl: needed(settings, "CLOUDFLARE_API_BASE_URL"),
      accountId: needed(settings, "CLOUDFLARE_ACCOUNT_ID"),
      apiToken: needed(settings, "CLOUDFLARE_API_TOKEN"),
      queueId,
      pollMs: settings.pollMs,
      // Both lanes share the day's operations.
      operationsPerDay: budget === "none" ? null : Number(budget) / LANES.length,
      log,
    });
  return {
    urgent: open(needed(settings, "CLIPSCRIBE_QUEUE_URGENT")),
    batch: open(needed(settings, "CLIPSCRIBE_QUEUE_BATCH")),
  };
}

/** R2's own address is made of the account's id and its jurisdiction. */
function endpointOf(settings: Settings): string {
  const value = (name: string): string => settings.all.get(name)?.value ?? "";
  const accountId = value("CLOUDFLARE_ACCOUNT_ID");
  if (value("R2_ENDPOINT") !== "" || settings.store.kind !== "r2" || !isAccountId(accountId)) {
    return needed(settings, "R2_ENDPOINT");
  }
  const jurisdiction = value("CLOUDFLARE_JURISDICTION") as Jurisdiction;
  return r2Endpoint({ accountId, jurisdiction });
}

function staticKeys(settings: Settings): StaticKeys {
  return {
    accessKeyId: needed(settings, "R2_ACCESS_KEY_ID"),
    secretAccessKey: needed(settings, "R2_SECRET_ACCESS_KEY"),
    sessionToken: settings.all.get("R2_SESSION_TOKEN")?.value ?? undefined,
  };
}

/** A user's own prefixes, and those that all of them see some of: one command gives the keys to all. */
async function openRenewedStores(
  command: string,
  settings: Settings,
  open: (keys: RenewingKeys<BucketKeys>) => ObjectStore,
): Promise<Parameters<typeof routed>> {
  const { runCredentialsCommand } = await import("../adapters/system/credentials-command.ts");
  const all = createRenewingKeys({
    renew: async () => runCredentialsCommand(command, settings.childEnv),
  });
  const { serial, spoil } = all;
  const others: Record<string, ObjectStore> = {};
  for (const prefix of Object.keys((await all.current()).prefixes)) {
    const current = async (): Promise<BucketKeys> => {
      const keys = await all.current();
      return keys.prefixes[prefix] ?? keys;
    };
    others[prefix] = open({ current, serial, spoil });
  }
  return [open({ current: async () => all.current(), serial, spoil }), others];
}

function needed({ all }: Settings, name: string): string {
  const value = all.get(name)?.value ?? null;
  if (value !== null) return value;
  throw new ClipscribeError("config", `${name} is not set`, {
    hint: "the store and the queue that the settings name need it; see `clipscribe config show`",
  });
}

function disposing(opened: readonly (Disposable | AsyncDisposable)[]): AsyncDisposable {
  return {
    async [Symbol.asyncDispose]() {
      for (const each of opened.toReversed()) {
        if (Symbol.asyncDispose in each) await each[Symbol.asyncDispose]();
        else each[Symbol.dispose]();
      }
    },
  };
}
