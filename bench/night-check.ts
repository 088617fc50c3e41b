/** In the morning: what the records say has to be there, whole, once, and nothing else. */
import { hashOf } from "./night-reader.ts";
import type { NightReader, SeenManifest, SeenState } from "./night-reader.ts";

export interface NightExpectation {
  /** What each item's `out.txt` has to say, by `job/item`. */
  texts: ReadonlyMap<string, string>;
  /** Are to be found nowhere. */
  secrets: readonly string[];
  /** Each job's end is to be told to somebody. */
  isTold: boolean;
}

/** The rooms of the bucket; nothing else lies in it. */
const ROOMS = [
  "blobs",
  "budgets",
  "cache",
  "dead",
  "drops",
  "inbox",
  "jobs",
  "outbox",
  "results",
  "sources",
];
const READS_AT_ONCE = 12;
/** A runner that is killed as it starts leaves its probe, which a start after two days removes. */
const SYSTEM =
  /^sys\/(?:probes\/[\w-]+|runners\/[\w-]+|sweep|webhooks\/\w+|poison\/\w+)\.?\w*(?:json)?$/;

export async function checkBucket(
  reader: NightReader,
  { texts, secrets, isTold }: NightExpectation,
): Promise<{ problems: string[]; published: number }> {
  const { user } = reader;
  const keys = await reader.list("");
  const problems = [
    ...keys.filter((key) => /^(?:inbox|outbox)\//.test(key)).map((key) => `${key} is still there`),
    ...keys.filter((key) => key.startsWith("sys/poison/")).map((key) => `${key}: was unreadable`),
    ...keys.filter((key) => !isInRoom(key, user)).map((key) => `${key} lies in no room`),
  ];
  const unfinished = await reader.unfinishedUploads();
  if (unfinished > 0) problems.push(`${unfinished} uploads were left unfinished`);
  const dead = new Set(keys.filter((key) => key.startsWith("dead/")));
  const shown = new Set(keys.filter((key) => key.startsWith(`results/${user}/`)));
  let published = 0;
  const seen = new Set<string>();
  await eachOf(keys.filter(isState), async (key) => {
    const [, , job = "", , file = ""] = key.split("/");
    const name = `${job}/${file.slice(0, -".json".length)}`;
    seen.add(name);
    const state = JSON.parse((await reader.get(key))?.toString() ?? "{}") as SeenState;
    const found = await checkItem(reader, { job, name, state, shown });
    problems.push(...found.problems);
    const isDead = dead.has(`dead/${user}/${name}.json`);
    if (!name.endsWith("/_job") && isDead !== (state.status === "failed")) {
      problems.push(`${name} is ${state.status}, and dead/ says otherwise`);
    }
    if (!found.isPublished) return;
    published++;
    const text = texts.get(name);
    const said = (await reader.get(`results/${user}/${name}/out.txt`))?.toString();
    if (text !== undefined && said !== text) problems.push(`${name} says ${said?.slice(0, 80)}`);
  });
  for (const name of texts.keys()) if (!seen.has(name)) problems.push(`${name} has no state`);
  const told = new Set(keys.filter((key) => key.includes("/messages/")).map(jobOf));
  for (const job of new Set(keys.filter(isState).map(jobOf))) {
    if (isTold && !told.has(job)) problems.push(`${job} has ended, and nobody was told`);
  }
  for (const key of shown) problems.push(`${key} belongs to no manifest`);
  const spoken = keys.filter((key) => !/^(?:blobs|sources)\//.test(key));
  await eachOf(spoken, async (key) => {
    const text = (await reader.get(key))?.toString("latin1") ?? "";
    if (secrets.some((secret) => text.includes(secret))) problems.push(`${key} holds a secret`);
  });
  return { problems, published };
}

/** Of what lies under `jobs/`. */
const jobOf = (key: string): string => key.split("/")[2] ?? "";

const isState = (key: string): boolean => /^jobs\/[^/]+\/[^/]+\/items\//.test(key);

/** Some at once: thousands of reads, each of which mostly waits. */
async function eachOf(
  keys: readonly string[],
  look: (key: string) => Promise<void>,
): Promise<void> {
  const left = [...keys];
  const hand = async (): Promise<void> => {
    for (let key = left.shift(); key !== undefined; key = left.shift()) await look(key);
  };
  await Promise.all(Array.from({ length: READS_AT_ONCE }, hand));
}

function isInRoom(key: string, user: string): boolean {
  const [room = "", second, third] = key.split("/");
  if (room === "sys") return SYSTEM.test(key);
  // Nobody's own.
  if (room === "pipelines") return true;
  return ROOMS.includes(room) && (room === "inbox" ? third : second) === user;
}

interface ItemAbout {
  job: string;
  name: string;
  state: SeenState;
  /** Results that no manifest has named yet; those of this item are taken out. */
  shown: Set<string>;
}

async function checkItem(
  reader: NightReader,
  { job, name, state, shown }: ItemAbout,
): Promise<{ problems: string[]; isPublished: boolean }> {
  const problems: string[] = [];
  if (state.owner !== null || ["queued", "processing"].includes(state.status)) {
    problems.push(`${name} is ${state.status}, owned by ${state.owner}`);
  }
  // What a job yields as a whole lies beside its items' folders, in no folder of its own.
  const isJob = name.endsWith("/_job");
  const prefix = `results/${reader.user}/${isJob ? job : name}/`;
  if (state.manifest === null) {
    if (state.status === "complete") problems.push(`${name} is complete, with no manifest`);
    const isMine = (key: string): boolean =>
      key.startsWith(prefix) && !(isJob && key.slice(prefix.length).includes("/"));
    if ([...shown].some(isMine)) problems.push(`${name} shows results that nobody published`);
    return { problems, isPublished: false };
  }
  const manifest = await reader.get(`${prefix}manifest.json`);
  if (manifest === null || hashOf(manifest) !== state.manifest.sha256) {
    problems.push(`${name}: manifest.json is not the published one`);
    return { problems, isPublished: false };
  }
  shown.delete(`${prefix}manifest.json`);
  for (const { path, sha256 } of (JSON.parse(manifest.toString()) as SeenManifest).files) {
    const bytes = await reader.get(prefix + path);
    if (bytes === null || hashOf(bytes) !== sha256) problems.push(`${name}: ${path} is damaged`);
    shown.delete(prefix + path);
  }
  return { problems, isPublished: true };
}
