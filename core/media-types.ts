/** Media types by file extension, for records; nothing is decided by them. */
const TYPES: Record<string, string> = {
  mp4: "video/mp4",
  m4v: "video/mp4",
  mov: "video/quicktime",
  mkv: "video/x-matroska",
  webm: "video/webm",
  avi: "video/x-msvideo",
  m4a: "audio/mp4",
  mp3: "audio/mpeg",
  wav: "audio/wav",
  flac: "audio/flac",
  ogg: "audio/ogg",
  opus: "audio/ogg",
  aac: "audio/aac",
};

export const MEDIA_EXTENSIONS: readonly string[] = Object.keys(TYPES);

export function mediaTypeOf(extension: string): string {
  return TYPES[extension.toLowerCase()] ?? "application/octet-stream";
}

/** The extension of a file name, lower case, without the dot; empty if it has none. */
export function extensionOf(name: string): string {
  return /[^/\\]\.([^./\\\s]{1,16})$/.exec(name)?.[1]?.toLowerCase() ?? "";
}
