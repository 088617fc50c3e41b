/** Which sentences matter, by words that decide, pay, accuse, deny or promise. */

interface MomentRule {
  significance: string;
  pattern: RegExp;
  /** How the choice is described; `{quote}` is not part of it: the quote stands beside. */
  description: string;
  score: number;
}

const RULES: readonly MomentRule[] = [
  {
    significance: "decision",
    description: "A decision or a vote",
    pattern:
      /\b(?:vot(?:e[sd]?|ing)|approv(?:e[sd]?|al)|reject(?:s|ed)?|pass(?:es|ed)\b|adopted|decid(?:e[sd]?)|motion carries|resign(?:s|ed)?|fired|appointed|cancel(?:s|led)|suspend(?:s|ed)|close[sd]? the)\b/iu,
    score: 3,
  },
  {
    significance: "accusation",
    description: "An accusation or a suspicion",
    pattern:
      /\b(?:accus(?:e[sd]?|ation)|fraud|brib(?:e[sd]?|ery)|corrupt(?:ion)?|illegal(?:ly)?|cover(?:ed)?[- ]up|falsified|lied|misled|missing (?:money|pages|report)|conflict of interest|hid(?:den)?|concealed)\b/iu,
    score: 3,
  },
  {
    significance: "denial",
    description: "A denial or a contradiction",
    pattern:
      /\b(?:den(?:y|ies|ied)|(?:is|was|that['’]s|this is) (?:simply )?(?:not true|false|wrong|untrue)|never (?:received|saw|said|knew|paid|signed|happened)|contradict(?:s|ed)?|that is not what)\b/iu,
    score: 3,
  },
  {
    significance: "sum",
    description: "A sum of money is named",
    pattern: /[$€£¥]\s?\d|\b(?:million|billion|thousand)\s(?:dollars|euros|pounds)\b/iu,
    score: 2,
  },
  {
    significance: "risk",
    description: "A danger or a failure is named",
    pattern:
      /\b(?:unsafe|danger(?:ous)?|crack(?:s|ed)?|collaps(?:e[sd]?)|injur(?:y|ed|ies)|died|killed|fail(?:s|ed|ure)|emergency|evacuat(?:e[sd]?|ion)|contaminat\w+)\b/iu,
    score: 2,
  },
  {
    significance: "promise",
    description: "A promise or a plan",
    pattern:
      /\b(?:promis(?:e[sd]?)|commit(?:s|ted)? to|pledg(?:e[sd]?)|guarantee[sd]?|(?:i|we) will (?:not )?\w+|by the end of)\b/iu,
    score: 1.5,
  },
];

export interface FoundMoment {
  significance: string;
  description: string;
  score: number;
}

/** The strongest rule that applies; several at once count a little more. */
export function judgeSentence(sentence: string): FoundMoment | undefined {
  const hits = RULES.filter(({ pattern }) => pattern.test(sentence));
  const [best] = hits.toSorted((a, b) => b.score - a.score);
  if (best === undefined) return undefined;
  const { significance, description } = best;
  return { significance, description, score: best.score + 0.5 * (hits.length - 1) };
}
