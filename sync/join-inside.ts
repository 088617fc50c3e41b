/** The one way from a name that came from outside to a path: it stays inside its folder. */
import { isAbsolute, join, relative, sep } from "node:path";

import { ClipscribeError } from "../core/errors.ts";

/** @throws `contract` for `..`, absolute, drive, UNC and NUL. */
export function joinInside(root: string, name: string): string {
  const parts = name.split("/");
  const isUnsafe =
    name === "" ||
    isAbsolute(name) ||
    /^[a-zA-Z]:/.test(name) ||
    /[\u0000\\]/.test(name) ||
    parts.some((part) => part === "" || part === "." || part === "..");
  const path = join(root, name);
  const inside = relative(root, path);
  if (isUnsafe || inside.startsWith(`..${sep}`) || inside === ".." || isAbsolute(inside)) {
    throw new ClipscribeError("contract", "a name would leave its folder", {
      details: { name: name.slice(0, 200) },
      hint: "do not trust where it comes from",
    });
  }
  return path;
}
