/**
 * Addresses that a person set: `http://127.0.0.1:8000`, with or without a trailing `/v1`; or the whole
 * of it, where a server has a path of its own: whisper.cpp's `http://127.0.0.1:8080/inference`.
 */
export function endpoint(base: string, path: string): string {
  const trimmed = base.replace(/\/+$/, "");
  const isWhole = /\/(?:inference|transcriptions|completions)$/.test(trimmed);
  return isWhole ? trimmed : `${trimmed.replace(/\/v1$/, "")}${path}`;
}
