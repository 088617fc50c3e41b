/** URLs from outside: http or https and nothing else, and never readable as an option. */
import { ClipscribeError } from "./errors.ts";
import { safeLine } from "./safe-text.ts";

/** What browsers and servers take. */
const MAX_URL_CHARS = 2_048;

/** @throws `contract` with the reason. */
export function checkUrl(text: string): URL {
  const shown = text.slice(0, 200);
  const refuse = (why: string, hint: string): ClipscribeError =>
    new ClipscribeError("contract", `not a usable URL: ${why}`, { details: { url: shown }, hint });
  // oxlint-disable-next-line no-control-regex -- control codes are what is refused here
  if (/[\u0000-\u0020\u007f]/.test(text)) {
    throw refuse("it holds spaces or control codes", "write one URL a line");
  }
  if (text.length > MAX_URL_CHARS) throw refuse("it is too long", "use the page's short address");
  if (text.startsWith("-")) throw refuse("it looks like an option", "write the URL alone");
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw refuse("it can't be parsed", "write it as https://…");
  }
  if (url.protocol !== "https:" && url.protocol !== "http:") {
    throw refuse(`${url.protocol} is not allowed`, "use an http or https address");
  }
  if (url.username !== "" || url.password !== "") {
    throw refuse("it holds a password", "remove user and password from it");
  }
  return url;
}

/** The last part of its path, or what a query names as the video. */
export function titleOfUrl(url: URL): string {
  const last = url.searchParams.get("v") ?? url.pathname.split("/").at(-1) ?? "";
  let name = last;
  try {
    name = decodeURIComponent(last);
  } catch {
    // Not percent-encoded text; shown as it is.
  }
  return safeLine(name === "" ? url.hostname : name, 200);
}
