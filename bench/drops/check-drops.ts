/** What must hold at the end of the campaign: every version of every drop is where it belongs, once. */
import { lstatSync, readFileSync, readdirSync } from "node:fs";
import { basename, join } from "node:path";

import { sourceKey } from "../../adapters/bucket-sources/bucket-sources.ts";
import { sha256Of } from "../../core/digest.ts";
import { Ticket } from "../../core/records.ts";
import type { ObjectStore } from "../../ports/object-store.ts";
import type { Dropped, Expected } from "./drop-kinds.ts";

const PLACES = ["done", "rejected", "inbox"] as const;
type Place = (typeof PLACES)[number];

export interface Folders extends Record<Place, string> {}

export interface Found {
  problems: string[];
  files: number;
  tickets: number;
}

export async function checkDrops(
  folders: Folders,
  store: ObjectStore,
  dropped: readonly Dropped[],
): Promise<Found> {
  const problems: string[] = [];
  const places = Object.fromEntries(
    PLACES.map((place) => [place, readPlace(folders[place], place, problems)]),
  ) as Record<Place, Map<string, string[]>>;
  const tickets = await readTickets(store, problems);
  const wanted = new Map<string, Expected & { kind: string }>();
  for (const { kind, expected } of dropped) {
    for (const each of expected) wanted.set(each.sha256, { ...each, kind });
  }
  for (const { kind, sha256, ...bounds } of wanted.values()) {
    const counts = {
      done: places.done.get(sha256)?.length ?? 0,
      rejected: places.rejected.get(sha256)?.length ?? 0,
      inbox: places.inbox.get(sha256)?.length ?? 0,
      tickets: tickets.get(sha256)?.size ?? 0,
    };
    for (const name of [...PLACES, "tickets"] as const) {
      const [least, most] = bounds[name];
      if (counts[name] >= least && counts[name] <= most) continue;
      const names = PLACES.flatMap((place) => places[place].get(sha256) ?? []);
      problems.push(
        `${kind}: ${counts[name]} ${name}, not ${least}–${most} (${JSON.stringify(counts)} ${names.join(", ").slice(0, 160)})`,
      );
    }
  }
  for (const place of PLACES) {
    for (const [sha256, names] of places[place]) {
      if (!wanted.has(sha256)) problems.push(`${place}: ${names.join(", ")} was dropped by nobody`);
    }
  }
  for (const sha256 of tickets.keys()) {
    if (!wanted.has(sha256)) problems.push(`a ticket of bytes that nobody dropped: ${sha256}`);
  }
  for (const name of dropped.flatMap(({ special }) => special)) {
    const info = lstatSync(join(folders.inbox, name), { throwIfNoEntry: false });
    if (info === undefined || info.isFile()) problems.push(`${name} is not what it was`);
  }
  const files = PLACES.reduce((sum, place) => sum + places[place].size, 0);
  return {
    problems,
    files,
    tickets: [...tickets.values()].reduce((sum, each) => sum + each.size, 0),
  };
}

/** Names by content; nothing half moved, and a reason beside whatever was rejected. */
function readPlace(folder: string, place: Place, problems: string[]): Map<string, string[]> {
  const found = new Map<string, string[]>();
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  const names = new Set(entries.map((entry) => join(entry.parentPath, entry.name)));
  for (const entry of entries) {
    if (!entry.isFile() || entry.name.startsWith(".clipscribe-lock")) continue;
    const path = join(entry.parentPath, entry.name);
    if (entry.name.startsWith(".clipscribe-"))
      problems.push(`${place}: ${entry.name} was left half moved`);
    const isReason = place === "rejected" && entry.name.endsWith(".reason.txt");
    if (isReason && names.has(path.slice(0, -".reason.txt".length))) continue;
    if (place === "rejected" && !names.has(`${path}.reason.txt`)) {
      problems.push(`rejected: ${entry.name} has no reason`);
    }
    const sha256 = sha256Of(readFileSync(path));
    found.set(sha256, [...(found.get(sha256) ?? []), basename(path)]);
  }
  return found;
}

/** Job, item and run by the hash of the source, which must be in the bucket, whole. */
async function readTickets(
  store: ObjectStore,
  problems: string[],
): Promise<Map<string, Set<string>>> {
  const found = new Map<string, Set<string>>();
  for await (const { key } of store.list("inbox/")) {
    const ticket = Ticket.parse(JSON.parse(Buffer.from((await store.get(key)).body).toString()));
    const { sha256 } = ticket.source;
    const of = found.get(sha256) ?? new Set();
    of.add(`${ticket.job_id}/${ticket.item_id}.${ticket.run}`);
    found.set(sha256, of);
    try {
      const { body } = await store.get(sourceKey(ticket.user, ticket.source));
      if (sha256Of(body) !== sha256) problems.push(`${key}: its source is not whole`);
    } catch {
      problems.push(`${key}: its source is not in the bucket`);
    }
  }
  return found;
}
