/**
 * Brings an account to what is wanted: read, plan, do what can be done, and again until nothing is
 * left to do. So it may be interrupted at any request and started again; nothing is deleted.
 *
 * Whether a PUT of event rules adds to a queue's rules or replaces them is not documented. The union
 * is put first: where PUT replaces, nothing is lost; where it adds, R2 refuses it as overlapping
 * itself, nothing has changed, and then the missing ones alone are put. The listing afterwards
 * decides whether it worked.
 */
import { setTimeout as delay } from "node:timers/promises";

import { ClipscribeError, isKind } from "../../core/errors.ts";
import { accountRefusal, planAccount } from "../../core/account-plan.ts";
import type { AccountAction, AccountPlan, FoundAccount } from "../../core/account-plan.ts";
import { DAY_S } from "../../core/account-wanted.ts";
import type { WantedAccount } from "../../core/account-wanted.ts";
import type {
  CloudflareAccount,
  NewRule,
} from "../../adapters/cloudflare-account/cloudflare-account.ts";

/** Buckets and queues first, then what needs them; the rest is for lost answers. */
const MAX_ROUNDS = 8;
/** So many rounds may fail in a row: a busy API is waited for, a broken one is told. */
const MAX_TROUBLES = 3;
const TROUBLE_MS = 500;

export interface AppliedAccount {
  /** What was done, in order, and answered for: a lost answer's action is only seen. */
  done: string[];
  found: FoundAccount;
  plan: AccountPlan;
}

export interface ApplyOptions {
  account: CloudflareAccount;
  wanted: WantedAccount;
  /** Looks for objects that are none of ours; see `findForeignKey`. */
  findForeign: (found: Omit<FoundAccount, "foreignKey">) => Promise<string | null | undefined>;
  tell?: (line: string) => void;
  sleep?: (ms: number) => Promise<void>;
}

export async function readAccount(options: ApplyOptions): Promise<FoundAccount> {
  const found = await options.account.read();
  return { ...found, foreignKey: await options.findForeign(found) };
}

export async function applyAccount(options: ApplyOptions): Promise<AppliedAccount> {
  const { wanted, tell = () => undefined, sleep = async (ms) => delay(ms) } = options;
  const done: string[] = [];
  let troubles = 0;
  for (let round = 1; round <= MAX_ROUNDS; round++) {
    try {
      const found = await readAccount(options);
      const plan = planAccount(wanted, found);
      if (plan.problems.length > 0) throw accountRefusal(plan.problems);
      if (plan.actions.length === 0) return { done, found, plan };
      for (const action of plan.actions.filter((each) => isReady(each, found))) {
        await perform(options.account, action);
        done.push(describeAction(action));
        tell(describeAction(action));
      }
      troubles = 0;
    } catch (error) {
      // Done or not, the next reading knows.
      if (!isKind(error, "transient", "conflict") || ++troubles >= MAX_TROUBLES) throw error;
      await sleep(TROUBLE_MS * troubles);
    }
  }
  throw new ClipscribeError("conflict", "the account does not become as it is wanted", {
    hint: "look whether somebody else changes it now, then run `clipscribe cloud plan`",
  });
}

/** What needs an id or a bucket waits for the next round. */
function isReady(action: AccountAction, found: FoundAccount): boolean {
  switch (action.do) {
    case "create-bucket":
    case "create-queue":
      return true;
    case "create-consumer":
      return action.queueId !== null;
    case "put-rules":
      return action.queueId !== null && found.bucket !== null;
    case "put-lifecycle":
    case "put-cors":
      return found.bucket !== null;
  }
}

async function perform(account: CloudflareAccount, action: AccountAction): Promise<void> {
  switch (action.do) {
    case "create-bucket":
      return account.createBucket();
    case "create-queue":
      return account.createQueue(action.lane);
    case "create-consumer":
      return account.createConsumer(action.queueId ?? "");
    case "put-rules":
      return putRules(account, action);
    case "put-lifecycle":
      return account.putLifecycle(action.rules);
    case "put-cors":
      return account.putCors(action.rules);
  }
}

async function putRules(
  account: CloudflareAccount,
  { queueId, keep, add }: Extract<AccountAction, { do: "put-rules" }>,
): Promise<void> {
  const shaped = ({ prefix, suffix, actions, description }: NewRule): NewRule => ({
    prefix,
    suffix,
    actions,
    description,
  });
  const missing = add.map(shaped);
  try {
    await account.putRules(queueId ?? "", [...keep.map(shaped), ...missing]);
  } catch (error) {
    if (keep.length === 0 || !isKind(error, "conflict")) throw error;
    await account.putRules(queueId ?? "", missing);
  }
}

export function describeAction(action: AccountAction): string {
  switch (action.do) {
    case "create-bucket":
      return `create the bucket ${action.bucket} (jurisdiction ${action.jurisdiction})`;
    case "create-queue":
      return `create the queue ${action.name}`;
    case "create-consumer":
      return `let runners pull ${action.name} over HTTP`;
    case "put-rules":
      return `tell ${action.name} of ${describeRules(action.add)}`;
    case "put-lifecycle":
      return `lifecycle: ${describeLifecycle(action)}`;
    case "put-cors":
      return "CORS: let the pages that are named read the bucket";
  }
}

function describeLifecycle({
  rules,
  add,
}: Extract<AccountAction, { do: "put-lifecycle" }>): string {
  return rules
    .filter(({ id }) => add.includes(id))
    .map(({ id, deleteObjectsTransition, abortMultipartUploadsTransition }) => {
      const end = deleteObjectsTransition ?? abortMultipartUploadsTransition;
      const days = (end?.condition.maxAge ?? 0) / DAY_S;
      const what = id.replace("clipscribe-", "").replaceAll("-", " ");
      return `${what} go after ${days} day${days === 1 ? "" : "s"}`;
    })
    .join(", ");
}

function describeRules(rules: readonly NewRule[]): string {
  const byPrefix = Map.groupBy(rules, ({ prefix }) => prefix);
  return [...byPrefix]
    .map(([prefix, each]) => {
      const suffixes = each.map(({ suffix }) => suffix).filter((suffix) => suffix !== "");
      if (suffixes.length === 0) return `${prefix}*`;
      const small = [...new Set(suffixes.map((suffix) => suffix.toLowerCase()))];
      const isBoth = small.length * 2 === suffixes.length;
      return isBoth
        ? `${prefix}* (${small.join(" ")}, in small letters and capitals)`
        : `${prefix}* (${suffixes.join(" ")})`;
    })
    .join(", ");
}
