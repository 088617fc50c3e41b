/** Decides which mentions speak of the same thing: "Mayor Elena Vasquez", "Vasquez", "Ms. Vasquez". */
import type { EntityType } from "../../core/intelligence.ts";

const TITLES =
  /^(?:the\s+)?(?:Mr|Mrs|Ms|Mx|Dr|Prof|Professor|Mayor|Deputy Mayor|President|Vice President|Senator|Sen|Representative|Rep|Governor|Gov|Minister|Prime Minister|Chancellor|Judge|Justice|Chief|Captain|Sergeant|Officer|Inspector|Director|Chair|Chairman|Chairwoman|Chairperson|Councilmember|Council Member|Councilman|Councilwoman|Councillor|Commissioner|Secretary|Reverend|Sir|Dame|Lord|Lady|Madam)\.?\s+/iu;

/** The name without titles; a title alone stays as it is. */
export function stripTitles(name: string): string {
  let plain = name.trim();
  for (let round = 0; round < 3; round++) {
    const next = plain.replace(TITLES, "");
    if (next === plain || next === "") break;
    plain = next;
  }
  return plain;
}

/**
 * Maps each name of a type to its canonical form: the fullest name that ends or begins with it, if
 * there is exactly one. Two people of one family name stay apart, and the bare name stays alone.
 */
export function canonicalNames(type: EntityType, names: Iterable<string>): Map<string, string> {
  const all = [...new Set(names)];
  const plain = new Map(
    all.map((name) => [name, type === "PERSON" ? stripTitles(name) : stripArticle(name)]),
  );
  const forms = [...new Set(plain.values())];
  const canonical = new Map<string, string>();
  for (const name of all) {
    const form = plain.get(name) ?? name;
    canonical.set(name, fullest(type, form, forms));
  }
  return canonical;
}

function fullest(type: EntityType, form: string, forms: readonly string[]): string {
  const key = form.toLowerCase();
  const same = forms.filter((other) => other.toLowerCase() === key).toSorted();
  if (type !== "PERSON" && type !== "ORG") return same[0] ?? form;
  const longer = forms.filter((other) => other.length > form.length && contains(other, form, type));
  const [only] = longer;
  const isOne =
    only !== undefined &&
    longer.every(
      (other) => other === only || contains(only, other, type) || contains(other, only, type),
    );
  if (!isOne) return same[0] ?? form;
  return longer.toSorted((a, b) => b.length - a.length || (a < b ? -1 : 1))[0] ?? form;
}

function contains(longer: string, shorter: string, type: EntityType): boolean {
  const words = longer.toLowerCase().split(/\s+/);
  const part = shorter.toLowerCase().split(/\s+/);
  if (part.length >= words.length) return false;
  const ends = words.slice(-part.length).join(" ") === part.join(" ");
  const begins = words.slice(0, part.length).join(" ") === part.join(" ");
  return type === "PERSON" ? ends || begins : begins && part.length > 1;
}

function stripArticle(name: string): string {
  return name.replace(/^the\s+/iu, "").trim();
}
