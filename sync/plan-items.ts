/** Names jobs and items: pure, and the same for the same input, so that a rerun finds its folder. */
import { digestOf, sha256Of } from "../core/digest.ts";
import { ItemId, JobId, joinId, slugOf } from "../core/ids.ts";
import { extensionOf } from "../core/media-types.ts";

/** `run-{slug}-{first 8 of a digest}`: of the source's bytes, or of a folder's path. */
export function jobIdFor(name: string, digest: string): JobId {
  const extension = extensionOf(name);
  const stem = extension === "" ? name : name.slice(0, -extension.length - 1);
  return JobId.parse(joinId(`run-${slugOf(stem, "job")}`, digest.slice(0, 8)));
}

/**
 * `20261123-2041-council-meeting-7f3a`: readable, and sorts by time (UTC, so also across a change of
 * the clocks and between machines). `random` is in [0, 1); `isTaken` has it drawn again, longer.
 */
export function newJobId(
  name: string,
  at: Date,
  random: () => number,
  isTaken: (job: JobId) => boolean = () => false,
): JobId {
  const stamp = at.toISOString().replaceAll(/[-:T]/g, "");
  const when = `${stamp.slice(0, 8)}-${stamp.slice(8, 12)}`;
  const slug = `${when}-${slugOf(titleOfFile(name), "job")}`;
  for (let digits = 4; ; digits = Math.min(digits + 2, 12)) {
    const suffix = Math.floor(random() * 16 ** digits)
      .toString(16)
      .padStart(digits, "0");
    const job = JobId.parse(joinId(slug, suffix));
    if (!isTaken(job)) return job;
  }
}

/** Several arguments are one job, named after the first. */
export function jobIdForMany(parts: readonly { name: string; digest: string }[]): JobId {
  const [first, ...rest] = parts;
  if (first === undefined || rest.length === 0)
    return jobIdFor(first?.name ?? "job", first?.digest ?? "");
  const together = digestOf(parts.map(({ digest }) => digest));
  return jobIdFor(`${titleOfFile(first.name)} and ${rest.length} more`, together);
}

export interface NamedItem {
  /** Path in the folder, or the URL: what makes it this item and no other. */
  name: string;
  title: string;
}

/**
 * Gives each name an id: a slug, with part of a hash where two would share one. Ids that were given
 * before never move when files are added.
 */
export function assignItemIds(
  items: readonly NamedItem[],
  before: ReadonlyMap<string, ItemId>,
): Map<string, ItemId> {
  const assigned = new Map<string, ItemId>();
  const taken = new Set<string>(before.values());
  for (const { name, title } of items) {
    const known = before.get(name);
    if (known !== undefined) {
      assigned.set(name, known);
      continue;
    }
    const slug = slugOf(title, "video");
    const id = taken.has(slug) ? joinId(slug, sha256Of(name).slice(0, 8)) : slug;
    taken.add(id);
    assigned.set(name, ItemId.parse(id));
  }
  return assigned;
}

/** The title that a file's name stands for. */
export function titleOfFile(name: string): string {
  const file = name.split(/[/\\]/).at(-1) ?? name;
  const extension = extensionOf(file);
  return extension === "" ? file : file.slice(0, -extension.length - 1);
}
