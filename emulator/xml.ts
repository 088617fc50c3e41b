/** S3's XML, in and out. */
import { XMLParser } from "fast-xml-parser";
import { toXml } from "xast-util-to-xml";
import { x } from "xastscript";

import { S3Error } from "./s3-error.ts";

export type XmlValue = string | number | boolean | null | XmlValue[] | { [name: string]: XmlValue };

const NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/";
/** A thousand parts of an upload, or keys to delete, are 200 KB. */
export const MAX_XML_BYTES = 2 * 1024 * 1024;

/** Arrays are repeated elements; null is left out. */
export function writeXml(name: string, value: { [name: string]: XmlValue }): string {
  const root = x(name, { xmlns: NAMESPACE }, childrenOf(value));
  return `<?xml version="1.0" encoding="UTF-8"?>\n${toXml(root)}`;
}

type Node = ReturnType<typeof x>;

function childrenOf(value: XmlValue): (Node | string)[] {
  if (value === null) return [];
  if (typeof value !== "object") return [String(value)];
  return Object.entries(value).flatMap(([name, child]) => {
    const each = Array.isArray(child) ? child : [child];
    return each.flatMap((one) => (one === null ? [] : [x(name, childrenOf(one))]));
  });
}

const parser = new XMLParser({
  ignoreAttributes: true,
  parseTagValue: false,
  trimValues: false,
  processEntities: true,
  // Go writes a quote as &#34;.
  htmlEntities: true,
  isArray: (name) => name === "Part" || name === "Object",
});

/** @throws S3Error `MalformedXML`. */
export function readXml(text: string): Record<string, unknown> {
  if (text.length > MAX_XML_BYTES || text.includes("<!")) {
    throw new S3Error("MalformedXML", "the body is no XML of this kind");
  }
  try {
    return parser.parse(text, true) as Record<string, unknown>;
  } catch {
    throw new S3Error("MalformedXML", "the body is no XML");
  }
}
