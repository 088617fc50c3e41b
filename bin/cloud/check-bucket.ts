/** Whether the bucket takes what the runners do with it: conditions, parts, copies, listings. */
import { ClipscribeError, isKind } from "../../core/errors.ts";
import { checkKeys } from "../../core/keys.ts";
import type { ObjectKey } from "../../core/keys.ts";
import { MIN_PART_BYTES } from "../../ports/object-store.ts";
import type { Etag, ObjectStore } from "../../ports/object-store.ts";
import type { Checks } from "./checks.ts";

/** Creators of one key at the same moment. */
const RACERS = 10;

const text = (body: string): Uint8Array => Buffer.from(body);

export async function checkBucket(checks: Checks, store: ObjectStore, id: string): Promise<void> {
  const at = (name: string): ObjectKey => checkKeys.bucket(id, name);
  const isReached = await checks.run("objects", async () => {
    const key = at("object");
    const etag = await store.put(key, text("whole"));
    const { body } = await store.get(key);
    if (Buffer.from(body).toString() !== "whole") refuse("what was written is not what is read");
    const part = await store.get(key, { range: { start: 1, end: 2 } });
    if (Buffer.from(part.body).toString() !== "ho") refuse("ranges are not heeded");
    if ((await store.get(key, { ifNoneMatch: etag })) !== undefined) {
      refuse("If-None-Match of a read is not heeded");
    }
    const listed: string[] = [];
    for await (const each of store.list(checkKeys.bucket(id, ""))) listed.push(each.key);
    if (!listed.includes(key)) refuse("what was written is not listed at once");
    await store.delete(key);
    if ((await store.head(key)) !== undefined) refuse("what was deleted is still there");
    return "put, get, range, head, list, delete";
  });
  if (!isReached) return;
  await checks.run("conditions", async () => {
    const key = at("swapped");
    const first = await store.put(key, text("1"), { ifMatch: null });
    const lost = async (work: Promise<unknown>, what: string): Promise<void> => {
      const isLost = await work.then(
        () => false,
        (error: unknown) => {
          if (isKind(error, "conflict")) return true;
          throw error;
        },
      );
      if (!isLost) refuse(`${what} is not heeded: two runners would both win a claim`);
    };
    await lost(store.put(key, text("2"), { ifMatch: null }), "If-None-Match: *");
    const second = await store.put(key, text("3"), { ifMatch: first });
    await lost(store.put(key, text("4"), { ifMatch: first }), "If-Match");
    const body = Buffer.from((await store.get(key)).body).toString();
    if (body !== "3" || second === first) refuse("a swap that won was not kept");
    return "If-Match and If-None-Match of writes are heeded";
  });
  await checks.run("race", async () => {
    const key = at("race");
    const tries = Array.from({ length: RACERS }, async (_, index) =>
      store.put(key, text(`racer ${index}`), { ifMatch: null }),
    );
    const settled = await Promise.allSettled(tries);
    const won = settled.filter(({ status }) => status === "fulfilled").length;
    const broken = settled.find(
      // A key takes one write a second: some are told to wait, and that is a loss too.
      (each) => each.status === "rejected" && !isKind(each.reason, "conflict", "transient"),
    );
    if (broken?.status === "rejected") throw broken.reason;
    checks.facts["racing_creates"] = { racers: RACERS, won };
    if (won !== 1) refuse(`${won} of ${RACERS} creators of one key won at the same moment`);
    return `one of ${RACERS} creators of one key won`;
  });
  await checks.run("uploads", async () => checkUploads(store, at("parts"), checks));
  await checks.run("copies", async () => {
    const [from, to] = [at("from"), at("to")];
    await store.put(from, text("copied"));
    await store.copy(from, to);
    if (Buffer.from((await store.get(to)).body).toString() !== "copied") {
      refuse("a copy is not what was copied");
    }
    const isHeeded = await store.copy(from, to, { ifMatch: null }).then(
      () => false,
      (error: unknown) => isKind(error, "conflict"),
    );
    checks.facts["copy_conditions_heeded"] = isHeeded;
    return `copies within the bucket; conditions on their target are ${isHeeded ? "" : "not "}heeded`;
  });
}

async function checkUploads(store: ObjectStore, key: ObjectKey, checks: Checks): Promise<string> {
  const upload = await store.createUpload(key);
  const parts = [
    await store.putPart(key, upload, 1, Buffer.alloc(MIN_PART_BYTES, 1)),
    await store.putPart(key, upload, 2, text("the last part is shorter")),
  ];
  const listed = await store.listParts(key, upload);
  if (listed.length !== parts.length) refuse("the parts of an upload are not listed");
  const etag: Etag = await store.completeUpload(key, upload, parts, { ifMatch: null });
  const info = await store.head(key);
  if (info?.sizeBytes !== MIN_PART_BYTES + 24) refuse("an upload has another size than its parts");
  checks.facts["multipart_etag"] = etag;
  const second = await store.createUpload(key);
  const again = [await store.putPart(key, second, 1, text("late"))];
  const isHeeded = await store.completeUpload(key, second, again, { ifMatch: null }).then(
    () => false,
    (error: unknown) => isKind(error, "conflict"),
  );
  checks.facts["complete_conditions_heeded"] = isHeeded;
  const third = await store.createUpload(key);
  await store.abortUpload(key, third);
  return `uploads in parts, resumed and given up; conditions on their end are ${isHeeded ? "" : "not "}heeded`;
}

/** Whatever happened, nothing of it stays. */
export async function clearChecked(store: ObjectStore, id: string): Promise<void> {
  const keys: ObjectKey[] = [];
  for await (const { key } of store.list(checkKeys.bucket(id, ""))) keys.push(key);
  for (const key of keys) await store.delete(key);
}

function refuse(message: string): never {
  throw new ClipscribeError("config", message, {
    hint: "this bucket can't be worked on: use R2, or another S3 that does it",
  });
}
