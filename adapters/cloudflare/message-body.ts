/**
 * The text of a pulled message. How bodies arrive is documented in two ways, and for R2's events in
 * none: an object is taken as it is, a text as JSON if it is an object's, else as base64 of it.
 */

/** Returns the body's own text where it is neither: whoever reads it says what it thinks of it. */
export function decodeBody(body: unknown): string {
  if (typeof body !== "string") return JSON.stringify(body) ?? "";
  if (isObjectText(body)) return body;
  const decoded = Buffer.from(body, "base64").toString("utf8");
  return isObjectText(decoded) ? decoded : body;
}

function isObjectText(text: string): boolean {
  if (!/^\s*\{/.test(text)) return false;
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null;
  } catch {
    return false;
  }
}
