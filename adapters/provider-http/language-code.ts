/** A language as providers name it → its code. Whisper says `english`, xAI `English`, others `en`. */

/** What transcribers know, by Whisper's list; the names are looked up. */
const CODES =
  "af am ar as az ba be bg bn bo br bs ca cs cy da de el en es et eu fa fi fil fo fr gl gu ha haw he hi hr ht hu hy id is it ja jv ka kk km kn ko la lb ln lo lt lv mg mi mk ml mn mr ms mt my ne nl nn no oc pa pl ps pt ro ru sa sd si sk sl sn so sq sr su sv sw ta te tg th tk tl tr tt uk ur uz vi yi yo yue zh";

/** Null for what is neither: a page that names no language is better than one that names a wrong one. */
export function languageCode(language: string | null | undefined): string | null {
  if (language == null || language === "") return null;
  if (/^[a-z]{2,3}(?:-[A-Za-z0-9]{2,8})*$/.test(language)) return language;
  const names = new Intl.DisplayNames(["en"], { type: "language" });
  const wanted = language.toLowerCase();
  return CODES.split(" ").find((code) => names.of(code)?.toLowerCase() === wanted) ?? null;
}
