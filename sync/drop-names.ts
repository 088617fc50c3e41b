/**
 * What a name in the inbox stands for. Pure. Names of copies and downloads in progress, of cloud
 * placeholders and of what belongs to another file are no drops.
 */
import { extensionOf } from "../core/media-types.ts";
import { LIST_EXTENSIONS } from "../core/url-list.ts";
import { CAPTION_EXTENSIONS } from "./list-files.ts";

export type NameKind =
  /** Left alone, for ever: hidden, temporary, a placeholder. */
  | "ignored"
  /** Belongs to a medium: captions, options, the marker that it is complete. */
  | "companion"
  | "medium"
  | "list"
  /** Nothing that can be used. */
  | "other";

/** `talk.mp4.yaml`: what a person wants of `talk.mp4`. */
export const OPTIONS_SUFFIX = ".yaml";
/** `talk.mp4.done`: whoever wrote `talk.mp4` says that it is whole. */
export const DONE_SUFFIX = ".done";

/**
 * Browsers, rsync, Syncthing, Office, Samba, Dropbox, iCloud (`.talk.mp4.icloud`) and what people
 * call their half-copied files.
 */
const TEMPORARY =
  /^(?:\.|~\$|~|#)|\.(?:part|partial|crdownload|download|opdownload|tmp|temp|!ut|!bt|bc!|filepart|aria2|ytdl|icloud|cloud|cloudf|swp|lock)$|~$|^(?:desktop\.ini|thumbs\.db|icon\r?)$|\.sb-[0-9a-f]+-\w+$|\.syncthing\.|\.sync-conflict-/i;

export function isTemporaryName(name: string): boolean {
  return TEMPORARY.test(name) || name === "";
}

export function classifyName(name: string, accept: readonly string[]): NameKind {
  if (isTemporaryName(name)) return "ignored";
  const extension = extensionOf(name);
  if (accept.includes(extension)) return "medium";
  if (LIST_EXTENSIONS.includes(extension)) return "list";
  if (CAPTION_EXTENSIONS.includes(extension) || name.endsWith(DONE_SUFFIX)) return "companion";
  const owner = ownerOf(name);
  if (owner !== undefined && [...accept, ...LIST_EXTENSIONS].includes(extensionOf(owner))) {
    return "companion";
  }
  return "other";
}

/** `talk.mp4` of `talk.mp4.yaml` and of `talk.mp4.done`. */
export function ownerOf(name: string): string | undefined {
  const suffix = [OPTIONS_SUFFIX, DONE_SUFFIX].find((each) => name.endsWith(each));
  return suffix === undefined ? undefined : name.slice(0, -suffix.length);
}
