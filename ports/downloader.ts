/** Fetches one URL's medium to a local folder (yt-dlp; works only from a home connection). */
import type { ItemInfo } from "../core/records.ts";

export interface Download {
  path: string;
  info: ItemInfo;
  /** Caption files that came with it. */
  sidecars: string[];
}

export interface Downloader {
  /**
   * Resumes what an earlier call left in `dir`; nothing but finished files is returned.
   *
   * @throws `contract` for a URL that isn't http(s) or that has nothing to fetch, `denied` for a
   *   private address or a login wall, `transient` for network trouble, `config` where yt-dlp is
   *   missing or older than the oldest safe version.
   */
  fetch(
    url: string,
    dir: string,
    options: {
      signal: AbortSignal;
      onProgress?: (fraction: number, note: string) => void;
    },
  ): Promise<Download>;
}
