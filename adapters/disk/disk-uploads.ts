/** Uploads in parts: `.uploads/{id}/` holds the parts as files until they are joined. */
import { randomUUID } from "node:crypto";
import { join } from "node:path";

import { sha256Of } from "../../core/digest.ts";
import { ClipscribeError, asClipscribeError } from "../../core/errors.ts";
import type { ObjectKey } from "../../core/keys.ts";
import { MAX_PARTS } from "../../ports/object-store.ts";
import type { Etag, ObjectStore, PutOptions, UploadPart } from "../../ports/object-store.ts";
import { codeOf, describeDiskError } from "./disk-error.ts";
import { etagOfFile } from "./disk-etag.ts";
import type { DiskFs } from "./disk-fs.ts";

interface Uploads {
  root: string;
  fs: DiskFs;
  commit(key: ObjectKey, from: string, options: PutOptions): Promise<void>;
  temporary(): string;
}

type UploadMethods = Pick<
  ObjectStore,
  "createUpload" | "putPart" | "listParts" | "completeUpload" | "abortUpload"
>;

const uploadId = /^[0-9a-f-]{36}$/;
const partName = /^(\d{5})-([0-9a-f]{32})-(\d+)$/;

export function openDiskUploads({ root, fs, commit, temporary }: Uploads): UploadMethods {
  const folderOf = (id: string): string => {
    if (uploadId.test(id)) return join(root, ".uploads", id);
    throw missingUpload(id);
  };

  async function listParts(_key: ObjectKey, id: string): Promise<UploadPart[]> {
    const names = await fs.names(folderOf(id)).catch((error: unknown) => {
      throw codeOf(error) === "ENOENT" ? missingUpload(id) : describeDiskError(error, id);
    });
    const parts = names.flatMap(({ name }) => {
      const match = partName.exec(name);
      if (match === null) return [];
      const [, number, etag, size] = match;
      return [
        { partNumber: Number(number), etag: etag as unknown as Etag, sizeBytes: Number(size) },
      ];
    });
    return parts.toSorted((a, b) => a.partNumber - b.partNumber);
  }

  return {
    createUpload() {
      const id = randomUUID();
      fs.makeFolder(folderOf(id));
      return Promise.resolve(id);
    },

    async putPart(key, id, partNumber, body, options = {}) {
      if (options.signal?.aborted === true) throw asClipscribeError(options.signal.reason);
      if (!Number.isInteger(partNumber) || partNumber < 1 || partNumber > MAX_PARTS) {
        throw new ClipscribeError("contract", "not a part number", { details: { partNumber } });
      }
      const earlier = (await listParts(key, id)).filter((part) => part.partNumber === partNumber);
      const etag = sha256Of(body).slice(0, 32) as unknown as Etag;
      const part = { partNumber, etag, sizeBytes: body.length };
      const from = temporary();
      try {
        await fs.writeNew(from, body, true);
        fs.rename(from, join(folderOf(id), nameOf(part)));
        await fs.syncFolder(folderOf(id));
        for (const old of earlier) {
          if (nameOf(old) !== nameOf(part)) fs.unlink(join(folderOf(id), nameOf(old)));
        }
      } catch (error) {
        throw describeDiskError(error, folderOf(id));
      }
      return part;
    },

    listParts,

    async completeUpload(key, id, parts, options = {}) {
      const stored = new Map((await listParts(key, id)).map((part) => [part.partNumber, part]));
      const numbers = parts.map(({ partNumber }) => partNumber);
      const ascending = numbers.every((number, at) => at === 0 || number > (numbers[at - 1] ?? 0));
      const known = parts.every((part) => stored.get(part.partNumber)?.etag === part.etag);
      if (parts.length === 0 || !ascending || !known) {
        throw new ClipscribeError("contract", "the parts are not those that were sent", {
          details: { key, parts: parts.length, stored: stored.size },
        });
      }
      const from = temporary();
      try {
        await using joined = await fs.openNew(from);
        for (const part of parts) {
          const handle = await fs.openRead(join(folderOf(id), nameOf(part)));
          for await (const chunk of handle.createReadStream()) {
            await joined.writeFile(chunk as Uint8Array);
          }
        }
        await joined.sync();
      } catch (error) {
        throw describeDiskError(error, folderOf(id));
      }
      const etag = etagOfFile(fs, from, fs.stat(from));
      await commit(key, from, options);
      fs.removeTree(folderOf(id));
      return etag;
    },

    abortUpload(_key, id) {
      fs.removeTree(folderOf(id));
      return Promise.resolve();
    },
  };
}

function nameOf(part: UploadPart): string {
  return `${String(part.partNumber).padStart(5, "0")}-${part.etag}-${part.sizeBytes}`;
}

function missingUpload(id: string): ClipscribeError {
  return new ClipscribeError("missing", "there is no such upload", { details: { upload: id } });
}
