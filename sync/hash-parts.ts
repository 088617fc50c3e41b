/**
 * The first reading of a large file that will be uploaded: while one core computes the SHA-256 of the
 * whole, another computes the MD5 of each part, and the book keeps them. So the second reading, which
 * sends, has nothing to hash: the bucket compares what arrives with what was read first.
 */
import type { Sha256 } from "../core/ids.ts";
import type { HashLarge } from "./hash-source.ts";
import { isSentWhole, planParts } from "./plan-parts.ts";
import { eachPart } from "./read-parts.ts";
import type { Uploads } from "./uploads.ts";

/** As many as are digested at once, and as many that are read meanwhile. */
export const PARTS_HASHED_AT_ONCE = 16;

/** For a bucket whose etags are MD5s; elsewhere they are of no use. */
export function openPartHasher({ book, room, clock, ...uploads }: Uploads): HashLarge {
  return async (read, sizeBytes, signal): Promise<Sha256 | undefined> => {
    if (isSentWhole(sizeBytes, uploads.partBytes)) return undefined;
    const plan = planParts(sizeBytes, uploads.partBytes);
    const md5s: string[] = [];
    const digester = uploads.openDigester("md5");
    try {
      await eachPart({
        plan,
        sizeBytes,
        room,
        ahead: PARTS_HASHED_AT_ONCE,
        signal,
        read,
        async work(number, body) {
          md5s[number - 1] = await digester.add(body);
        },
      });
      const sha256 = await digester.finish();
      book.rememberDigests({ sha256, partBytes: plan.partBytes, md5s }, clock.now());
      return sha256;
    } finally {
      digester.drop();
    }
  };
}
