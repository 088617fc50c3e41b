/**
 * Whether a medium's container is there to its end. A size that stands still proves nothing: Samba
 * and download managers preallocate, a copy may pause for minutes. Most containers say how long
 * they are; this reads those statements and compares them with what is there. It decodes nothing:
 * what the sound is worth is for the pipeline to find out.
 */

export interface ContainerReader {
  sizeBytes: number;
  /** What the disk really holds; less for sparse files, preallocated ones and cloud placeholders. */
  allocatedBytes: number;
  /** Fewer bytes than asked for at the end only. */
  read(offset: number, length: number): Promise<Uint8Array>;
}

export type ContainerVerdict =
  | { is: "whole"; format: string }
  /** It ends before it should, or holds a hole: somebody may still be writing it. */
  | { is: "short"; format: string; why: string }
  /** None of the formats that say it about themselves. */
  | { is: "foreign" };

/** Boxes at the top of a file; fragmented recordings of a day have two a second. */
const MAX_BOXES = 200_000;
const TAIL_BYTES = 64 * 1024;
/** A hole at the end of a preallocated file is at least a page long. */
const HOLE_BYTES = 4096;
const FIRST_BOXES = ["ftyp", "styp", "moov", "mdat", "free", "skip", "wide", "pnot", "uuid"];

export async function probeContainer(reader: ContainerReader): Promise<ContainerVerdict> {
  const head = Buffer.from(await reader.read(0, 64));
  const verdict = await probeFormat(reader, head);
  if (verdict.is !== "short" && (await endsInHole(reader))) {
    const format = verdict.is === "whole" ? verdict.format : "file";
    return { is: "short", format, why: "its end was never written" };
  }
  return verdict;
}

async function probeFormat(reader: ContainerReader, head: Buffer): Promise<ContainerVerdict> {
  const magic = head.toString("latin1", 0, 4);
  if (FIRST_BOXES.includes(head.toString("latin1", 4, 8))) return probeBoxes(reader);
  if (head.length >= 4 && head.readUInt32BE(0) === 0x1a45dfa3) return probeMatroska(reader);
  if (magic === "RIFF" || magic === "RF64") return probeRiff(reader, head);
  if (magic === "OggS") return probeOgg(reader);
  if (magic === "fLaC") return { is: "whole", format: "flac" };
  if (magic.startsWith("ID3")) return probeId3(reader, head);
  if (isMpegAudio(head)) return { is: "whole", format: "mpeg audio" };
  if (head.length > 0 && head.every((byte) => byte === 0)) {
    return { is: "short", format: "file", why: "its beginning was never written" };
  }
  return { is: "foreign" };
}

/** ISO base media (MP4, MOV, M4A): a chain of boxes, each with its length, one of them the index. */
async function probeBoxes(reader: ContainerReader): Promise<ContainerVerdict> {
  const format = "mp4";
  const short = (why: string): ContainerVerdict => ({ is: "short", format, why });
  let offset = 0;
  let hasIndex = false;
  let hasMedia = false;
  for (let count = 0; offset < reader.sizeBytes; count++) {
    if (count > MAX_BOXES) return { is: "foreign" };
    const header = Buffer.from(await reader.read(offset, 16));
    if (header.length < 8) {
      // A few bytes of padding after the last box are somebody's habit, not a missing end.
      return hasIndex ? { is: "whole", format } : short("it ends within a header");
    }
    const type = header.toString("latin1", 4, 8);
    if (!/^[\w ©-]{4}$/.test(type)) {
      if (hasIndex && header.every((byte) => byte === 0)) return { is: "whole", format };
      return short("what follows is not written yet");
    }
    let length = header.readUInt32BE(0);
    if (length === 1 && header.length === 16) length = Number(header.readBigUInt64BE(8));
    if (type === "moov") hasIndex = true;
    if (type === "mdat") hasMedia = true;
    if (length === 0) length = reader.sizeBytes - offset;
    if (length < 8) return short("a length makes no sense");
    offset += length;
  }
  if (offset > reader.sizeBytes) {
    return short(`${offset - reader.sizeBytes} bytes are missing at its end`);
  }
  if (!hasIndex) return short("its index is missing");
  return hasMedia ? { is: "whole", format } : short("there is nothing behind its index");
}

/** Matroska, WebM: one segment, whose length is known once the recorder has ended it. */
async function probeMatroska(reader: ContainerReader): Promise<ContainerVerdict> {
  const format = "matroska";
  const head = Buffer.from(await reader.read(0, 4096));
  const header = readElement(head, 0);
  if (header === undefined || header.length === null) return { is: "foreign" };
  const segment = readElement(head, header.dataAt + header.length);
  if (segment === undefined) return { is: "short", format, why: "it ends within its header" };
  if (segment.id !== 0x18538067) return { is: "foreign" };
  // A live recording never says its length: nothing is known, so nothing is missing.
  if (segment.length === null) return { is: "whole", format };
  const missing = segment.dataAt + segment.length - reader.sizeBytes;
  return missing > 0
    ? { is: "short", format, why: `${missing} bytes are missing at its end` }
    : { is: "whole", format };
}

/** EBML: an id and a length of one to eight bytes each; RFC 8794, section 4. */
function readElement(
  bytes: Buffer,
  at: number,
): { id: number; length: number | null; dataAt: number } | undefined {
  const idLength = Math.clz32((bytes[at] ?? 0) << 24) + 1;
  const lengthAt = at + idLength;
  const size = Math.clz32((bytes[lengthAt] ?? 0) << 24) + 1;
  if (idLength > 4 || size > 8 || lengthAt + size > bytes.length) return undefined;
  const id = bytes.readUIntBE(at, idLength);
  let value = BigInt((bytes[lengthAt] ?? 0) & (0xff >> size));
  for (let i = 1; i < size; i++) value = (value << 8n) | BigInt(bytes[lengthAt + i] ?? 0);
  const isUnknown = value === (1n << BigInt(7 * size)) - 1n;
  return { id, length: isUnknown ? null : Number(value), dataAt: lengthAt + size };
}

/** WAV, AVI. A recorder that streams leaves 0 or all ones in the length. */
function probeRiff(reader: ContainerReader, head: Buffer): ContainerVerdict {
  const format = "riff";
  if (head.length < 12) return { is: "short", format, why: "it ends within its header" };
  const length = head.readUInt32LE(4);
  if (length === 0 || length === 0xffffffff) return { is: "whole", format };
  const missing = length + 8 - reader.sizeBytes;
  // The pad byte after an odd length is often left out.
  return missing > 1
    ? { is: "short", format, why: `${missing} bytes are missing at its end` }
    : { is: "whole", format };
}

/** Ogg: pages that say their length. The last one must end with the file; RFC 3533, section 6. */
async function probeOgg(reader: ContainerReader): Promise<ContainerVerdict> {
  const format = "ogg";
  const from = Math.max(0, reader.sizeBytes - 2 * TAIL_BYTES);
  const tail = Buffer.from(await reader.read(from, 2 * TAIL_BYTES));
  const at = tail.lastIndexOf("OggS");
  const segments = at === -1 ? undefined : tail[at + 26];
  if (segments === undefined) return { is: "short", format, why: "its last page is cut off" };
  const table = tail.subarray(at + 27, at + 27 + segments);
  const end = at + 27 + segments + table.reduce((sum, each) => sum + each, 0);
  return table.length < segments || end > tail.length
    ? { is: "short", format, why: "its last page is cut off" }
    : { is: "whole", format };
}

/** The tag says its own length; sound comes after it. */
function probeId3(reader: ContainerReader, head: Buffer): ContainerVerdict {
  const [a = 0, b = 0, c = 0, d = 0] = head.subarray(6, 10);
  const tagBytes = 10 + ((a & 127) << 21) + ((b & 127) << 14) + ((c & 127) << 7) + (d & 127);
  return tagBytes < reader.sizeBytes
    ? { is: "whole", format: "mpeg audio" }
    : { is: "short", format: "mpeg audio", why: "there is nothing behind its tag" };
}

function isMpegAudio([first = 0, second = 0]: Buffer): boolean {
  return first === 0xff && (second & 0xe0) === 0xe0;
}

/** Space that was set aside and never filled: holes on the disk, and nothing but zeros at the end. */
async function endsInHole({ sizeBytes, allocatedBytes, read }: ContainerReader): Promise<boolean> {
  if (allocatedBytes >= sizeBytes || sizeBytes < 2 * HOLE_BYTES) return false;
  const end = await read(sizeBytes - HOLE_BYTES, HOLE_BYTES);
  return end.every((byte) => byte === 0);
}
