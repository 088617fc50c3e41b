/** Digests on the spot: for what is so small that another thread would take longer. */
import { createHash, hash } from "node:crypto";

import type { Sha256 } from "../core/ids.ts";
import type { FileDigester, PartDigests } from "../ports/file-digester.ts";

export function digestBytes(bytes: Uint8Array, wanted: { md5: boolean }): PartDigests {
  const sha256 = hash("sha256", bytes, "hex") as Sha256;
  return { sha256, md5: wanted.md5 ? hash("md5", bytes, "hex") : undefined };
}

/** As the digesting threads, in this one. */
export function openDigestInPlace(wanted: { md5: boolean }): FileDigester {
  const whole = createHash("sha256");
  return {
    add(part) {
      whole.update(part);
      return Promise.resolve(digestBytes(part, wanted));
    },
    finish: () => Promise.resolve(whole.digest("hex") as Sha256),
    drop: () => undefined,
  };
}
