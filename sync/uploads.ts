/** What all uploads of a process share. */
import type { ObjectKey } from "../core/keys.ts";
import type { Clock } from "../ports/clock.ts";
import type { OpenDigester } from "../ports/file-digester.ts";
import type { UploadBook } from "../ports/upload-book.ts";
import { partBytesFor } from "./plan-parts.ts";
import { UNLIMITED, openUploadPace } from "./upload-pace.ts";
import type { UploadPace } from "./upload-pace.ts";
import { openUploadRoom } from "./upload-room.ts";
import type { UploadRoom } from "./upload-room.ts";

export interface Uploads {
  /** Where uploads in parts are noted, so that any process of this machine can go on with them. */
  book: UploadBook;
  room: UploadRoom;
  pace: UploadPace;
  /** Of a file's parts, unless there were too many; a file up to twice this size is one request. */
  partBytes: number;
  /** What is on its way now, so that the same bytes go once. */
  underWay: Map<ObjectKey, Promise<unknown>>;
  /** For files of more than one part. */
  openDigester: OpenDigester;
  clock: Clock;
}

export interface UploadsOptions {
  book: UploadBook;
  openDigester: OpenDigester;
  clock: Clock;
  /** Null: as fast as the line allows. */
  bytesPerSecond: number | null;
  /** Default: by the limit. */
  partBytes?: number | undefined;
}

export function openUploads(options: UploadsOptions): Uploads {
  const { clock, bytesPerSecond } = options;
  return {
    ...options,
    partBytes: options.partBytes ?? partBytesFor(bytesPerSecond),
    room: openUploadRoom(clock),
    pace: bytesPerSecond === null ? UNLIMITED : openUploadPace(bytesPerSecond, clock),
    underWay: new Map(),
  };
}
