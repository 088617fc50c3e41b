/**
 * Relationships by patterns: two found entities in one sentence with a known verb between them. A
 * rule says what was said, not what is true.
 */
import type { EntityType } from "../../core/intelligence.ts";

interface RelationRule {
  predicate: string;
  pattern: RegExp;
  subject: readonly EntityType[];
  object: readonly EntityType[];
  confidence: number;
}

const PEOPLE: readonly EntityType[] = ["PERSON", "ORG"];
const PLACES: readonly EntityType[] = ["GPE", "LOC", "FAC"];
const ANY: readonly EntityType[] = [...PEOPLE, ...PLACES, "EVENT", "LAW", "PRODUCT", "NORP"];

const relation = (
  predicate: string,
  words: string,
  subject: readonly EntityType[],
  object: readonly EntityType[],
  confidence = 0.7,
): RelationRule => ({
  predicate,
  pattern: new RegExp(`(?:^|[\\s,])(?:${words})(?:$|[\\s,])`, "iu"),
  subject,
  object,
  confidence,
});

const RELATIONS: readonly RelationRule[] = [
  relation(
    "paid",
    "pays|paid|transferred|wired|was charged|spent|has spent|will pay",
    PEOPLE,
    ["MONEY"],
    0.8,
  ),
  relation(
    "received",
    "received|was paid|got|was awarded|won|has received",
    PEOPLE,
    ["MONEY"],
    0.75,
  ),
  relation(
    "costs",
    "costs?|will cost|would cost|is worth|was worth|is priced at|went from|rose to|came to",
    ANY,
    ["MONEY"],
    0.75,
  ),
  relation(
    "approved",
    "approved|approves|passed|passes|adopted|signed|voted for|voted to approve",
    PEOPLE,
    ANY,
  ),
  relation("rejected", "rejected|rejects|voted against|vetoed|blocked", PEOPLE, ANY),
  relation("opposed", "opposed?|opposes|is against|was against", PEOPLE, ANY),
  relation(
    "accused",
    "accused?|accuses|alleged|alleges|blamed?|blames|sued|is suing",
    PEOPLE,
    PEOPLE,
    0.75,
  ),
  relation(
    "awarded a contract to",
    "awarded .*?to|hired|contracted|chose|selected|gave .*?to",
    PEOPLE,
    ["ORG", "PERSON"],
  ),
  relation(
    "met",
    "met|met with|spoke with|talked to|called|wrote to|emailed",
    PEOPLE,
    PEOPLE,
    0.65,
  ),
  relation(
    "leads",
    "leads|led|heads|runs|chairs|directs|(?:is |was |, )?(?:the )?(?:head|director|chair|chairman|chairwoman|president|chief|ceo|mayor|leader|owner|founder) of(?: the)?",
    ["PERSON"],
    ["ORG", ...PLACES],
    0.75,
  ),
  relation(
    "works for",
    "works for|worked for|of|of the|from|from the|represents|speaks for|is with",
    ["PERSON"],
    ["ORG"],
    0.6,
  ),
  relation("founded", "founded|started|created|established", PEOPLE, ["ORG"], 0.75),
  relation(
    "owns",
    "owns|owned|bought|acquired|holds|has shares in",
    PEOPLE,
    ["ORG", "FAC", "PRODUCT"],
    0.7,
  ),
  relation(
    "built",
    "built|builds|designed|repaired|inspected|renovated|will (?:build|repair|renovate)",
    PEOPLE,
    ["FAC", "PRODUCT", "LOC"],
    0.7,
  ),
  relation("is located in", "in|near|outside", ["ORG", "FAC", "EVENT", "GPE", "LOC"], PLACES, 0.55),
  relation("supports", "supports?|supported|backed|endorsed|endorses|welcomed", PEOPLE, ANY, 0.65),
  relation("said of", "said|says|told|claimed|claims|denied|denies", PEOPLE, PEOPLE, 0.5),
];

/** The verb has to stand close to both. */
const MAX_GAP_CHARS = 60;

export interface FoundRelation {
  predicate: string;
  confidence: number;
}

export function findRelation(
  between: string,
  subject: EntityType,
  object: EntityType,
): FoundRelation | undefined {
  if (between.length > MAX_GAP_CHARS) return undefined;
  const isNegated = /\b(?:not|never|n['’]t|no longer)\b/iu.test(between);
  for (const { predicate, pattern, subject: from, object: to, confidence } of RELATIONS) {
    if (!from.includes(subject) || !to.includes(object) || !pattern.test(between)) continue;
    return { predicate: isNegated ? `did not: ${predicate}` : predicate, confidence };
  }
  return undefined;
}
