/** Which words stand apart when they are written: Chinese, Japanese and Thai know no spaces. */

const unspaced =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\u3000-\u303f\uff00-\uffef]/u;

export function isUnspaced(text: string): boolean {
  return unspaced.test(text);
}

/** What stands between two words that a transcriber returned one by one: a space, or nothing. */
export function spaceBetween(before: string, after: string): "" | " " {
  const [last = ""] = before.match(/.$/su) ?? [];
  const [first = ""] = after.match(/^./su) ?? [];
  return isUnspaced(last) && isUnspaced(first) ? "" : " ";
}
