/** Addresses that a person set: `http://127.0.0.1:8000`, with or without a trailing `/v1`. */
export function endpoint(base: string, path: string): string {
  return `${base.replace(/\/+$/, "").replace(/\/v1$/, "")}${path}`;
}
