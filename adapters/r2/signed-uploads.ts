/**
 * The two requests that every upload in parts takes besides its parts, without the SDK: it would be
 * loaded for them alone, for a tenth of a second.
 * docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html
 */
import type { ObjectStore } from "../../ports/object-store.ts";
import { conditionsOf, etagOf, quote } from "./object-info.ts";
import { needed, refusal } from "./r2-error.ts";
import type { SignedRequests } from "./signed-requests.ts";

/** As an answer that came too late to be one of an error: it began before the work was done. */
const FAILED_AFTER_ALL = 500;

export function openSignedUploads(
  { post }: Pick<SignedRequests, "post">,
  bucket: string,
): Pick<ObjectStore, "createUpload" | "completeUpload"> {
  return {
    async createUpload(key, { contentType, signal } = {}) {
      const headers = contentType === undefined ? {} : { "content-type": contentType };
      const query = [["uploads", ""] as const];
      return post(key, { query, headers, body: "", signal }, (text) =>
        needed(textOf(text, "UploadId"), bucket),
      );
    },

    async completeUpload(key, uploadId, parts, { ifMatch, signal } = {}) {
      const body = `<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${parts
        .map(
          ({ partNumber, etag }) =>
            `<Part><PartNumber>${partNumber}</PartNumber><ETag>${escapeXml(quote(etag))}</ETag></Part>`,
        )
        .join("")}</CompleteMultipartUpload>`;
      const headers = { "content-type": "application/xml", ...conditionsOf({ ifMatch }) };
      const query = [["uploadId", uploadId] as const];
      return post(key, { query, headers, body, signal }, (text) => {
        // A 200 that was sent before it was known how this ends.
        if (/<Error[\s>]/.test(text)) throw refusal(FAILED_AFTER_ALL, text);
        return etagOf(needed(textOf(text, "ETag"), bucket));
      });
    },
  };
}

function textOf(xml: string, element: string): string | undefined {
  const found = new RegExp(`<${element}>([^<]{1,4096})</${element}>`).exec(xml)?.[1];
  return found?.replaceAll(
    /&(quot|apos|lt|gt|amp|#34|#39);/g,
    (_, name: string) => ENTITIES[name] ?? "",
  );
}

const ENTITIES: Readonly<Record<string, string>> = {
  quot: '"',
  "#34": '"',
  apos: "'",
  "#39": "'",
  lt: "<",
  gt: ">",
  amp: "&",
};

function escapeXml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
}
