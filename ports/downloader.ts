/** Looks at one URL, and fetches its medium to a local folder (yt-dlp; works only from a home connection). */
import type { ItemInfo } from "../core/records.ts";

export interface Download {
  path: string;
  info: ItemInfo;
  /** Caption files that came with it. */
  sidecars: string[];
}

/** What a site says of an address before anything is fetched; hostile text. */
export type Look =
  | { kind: "video"; title: string | null; durationSeconds: number | null }
  | {
      kind: "playlist";
      title: string | null;
      videos: { url: string; title: string | null; durationSeconds: number | null }[];
      /** There are more than were listed. */
      isCut: boolean;
    };

export interface FetchOptions {
  signal: AbortSignal;
  /** The smallest medium with good sound is enough: nobody looks at the picture. */
  soundOnly?: boolean;
  /** Captions to prefer, best first, as BCP 47; a few at most are fetched. */
  languages?: readonly string[];
  onProgress?: (fraction: number, note: string) => void;
}

/**
 * Both methods reject with `contract` for a URL that isn't http(s), that has nothing to fetch, is a
 * live stream, or that yt-dlp does not understand (any more); `denied` for a private address or a login wall; `transient` for network trouble;
 * `config` where yt-dlp is missing, or too old to be let out. Neither tries again.
 */
export interface Downloader {
  /** `dir` keeps the answer, so that neither a look nor a fetch soon after asks again. */
  look(url: string, dir: string, options: { signal: AbortSignal }): Promise<Look>;

  /**
   * Resumes what an earlier call left in `dir`; nothing but finished files is returned.
   *
   * @throws `contract` for a playlist, too.
   */
  fetch(url: string, dir: string, options: FetchOptions): Promise<Download>;
}
