/** What `init` has to know: from flags and the environment, and where somebody sits there, by asking. */
import { ClipscribeError } from "../core/errors.ts";
import { UserId } from "../core/ids.ts";
import { SETTINGS } from "../core/settings.ts";
import type { Questioner } from "./ask.ts";

export interface InitFlags {
  home?: string | undefined;
  user?: string | undefined;
  /** Undefined: to be asked, else as it was. */
  cloud?: boolean | undefined;
  bucket?: string | undefined;
  endpoint?: string | undefined;
  /** Cloudflare's account id, from which the endpoint follows. */
  account?: string | undefined;
  /** A command line that prints credentials, instead of keys that stay. */
  credentialsCommand?: string | undefined;
  service?: boolean | undefined;
}

export interface Answers {
  /** Setting → its value; null takes it out. Secrets are among them. */
  settings: Record<string, string | null>;
  service: boolean;
}

/** Values that hold so far: in config.yaml, or in the environment. */
export type Known = (name: string) => string | null;

const BUCKET_KEYS = ["R2_ACCESS_KEY_ID", "R2_SECRET_ACCESS_KEY"] as const;
const MODEL_KEYS = ["MISTRAL_API_KEY", "XAI_API_KEY"];

export function isSecretSetting(name: string): boolean {
  return SETTINGS.some((spec) => spec.name === name && spec.secret === true);
}

/** Without a person: flags, then what is known. @throws `config` naming all that is missing. */
export function answerByFlags(flags: InitFlags, known: Known, defaults: { home: string }): Answers {
  const settings: Answers["settings"] = { CLIPSCRIBE_HOME: flags.home ?? defaults.home };
  if (flags.user !== undefined) settings["CLIPSCRIBE_USER"] = flags.user;
  if (flags.cloud === false) Object.assign(settings, LOCAL);
  if (flags.cloud === true) Object.assign(settings, cloudByFlags(flags, known));
  for (const name of MODEL_KEYS) {
    const value = known(name);
    if (value !== null) settings[name] = value;
  }
  return { settings, service: flags.service ?? false };
}

const LOCAL = { CLIPSCRIBE_STORE: null, CLIPSCRIBE_QUEUE: null };

function cloudByFlags(flags: InitFlags, known: Known): Answers["settings"] {
  const store = flags.bucket === undefined ? known("CLIPSCRIBE_STORE") : `r2:${flags.bucket}`;
  const endpoint = flags.endpoint ?? known("R2_ENDPOINT");
  const account = flags.account ?? known("CLOUDFLARE_ACCOUNT_ID");
  const command = flags.credentialsCommand ?? known("CLIPSCRIBE_CREDENTIALS_COMMAND");
  const settings: Answers["settings"] = {};
  const missing: string[] = [];
  if (store === null || store.startsWith("disk:")) missing.push("--bucket NAME");
  else settings["CLIPSCRIBE_STORE"] = store;
  if (endpoint !== null) settings["R2_ENDPOINT"] = endpoint;
  if (account !== null) settings["CLOUDFLARE_ACCOUNT_ID"] = account;
  if (endpoint === null && account === null) missing.push("--account ID (or --endpoint URL)");
  if (command !== null) settings["CLIPSCRIBE_CREDENTIALS_COMMAND"] = command;
  for (const name of command === null ? BUCKET_KEYS : []) {
    const value = known(name);
    if (value === null) missing.push(`${name} in the environment`);
    else settings[name] = value;
  }
  const token = known("R2_SESSION_TOKEN");
  if (token !== null && command === null) settings["R2_SESSION_TOKEN"] = token;
  if (missing.length === 0) return settings;
  throw new ClipscribeError("config", `the cloud needs ${missing.join(", ")}`, {
    hint: "pass them (instead of keys: --credentials-command), or run it in a terminal: it asks",
  });
}

/** Each question shows what Enter means: a flag, what is known, or a default. */
export async function answerByAsking(
  person: Questioner,
  flags: InitFlags,
  known: Known,
  defaults: { home: string; isCloud: boolean },
): Promise<Answers> {
  const problemOf = (name: string) => SETTINGS.find((spec) => spec.name === name)?.problem;
  const settings: Answers["settings"] = {};
  const ask = async (name: string, text: string, fallback: string): Promise<string> => {
    const isSecret = isSecretSetting(name);
    const problem = (answer: string): string | undefined => {
      if (answer === "") return "this is needed";
      return problemOf(name)?.(answer);
    };
    const answer = await person.ask({ text, fallback, isSecret, problem });
    settings[name] = answer;
    return answer;
  };
  await ask("CLIPSCRIBE_HOME", "Folder for inbox and results", flags.home ?? defaults.home);
  settings["CLIPSCRIBE_USER"] = await person.ask({
    text: "Your name in the store (a-z, 0-9, -)",
    fallback: flags.user ?? known("CLIPSCRIBE_USER") ?? "me",
    problem: (answer) =>
      UserId.safeParse(answer).success ? undefined : "use a-z, 0-9 and -, not at the ends",
  });
  const isCloud =
    flags.cloud ??
    (await person.confirm("Let a server do the work, through a bucket", defaults.isCloud));
  if (isCloud) await askForCloud(person, ask, settings, flags, known);
  else Object.assign(settings, LOCAL);
  if (!isCloud) await askForKeys(person, settings, known);
  const service =
    flags.service ?? (await person.confirm("Start the agent whenever you log in", false));
  return { settings, service };
}

type Ask = (name: string, text: string, fallback: string) => Promise<string>;

async function askForCloud(
  person: Questioner,
  ask: Ask,
  settings: Answers["settings"],
  flags: InitFlags,
  known: Known,
): Promise<void> {
  const [, nameNow] = (known("CLIPSCRIBE_STORE") ?? "").split(":");
  const bucket = await person.ask({
    text: "Bucket",
    fallback: flags.bucket ?? nameNow ?? "clipscribe",
    problem: (answer) =>
      /^[a-z0-9][a-z0-9.-]{1,62}$/.test(answer) ? undefined : "use a-z, 0-9 and -, 3 to 63 of them",
  });
  settings["CLIPSCRIBE_STORE"] = `r2:${bucket}`;
  const endpoint = flags.endpoint ?? known("R2_ENDPOINT");
  const account = await person.ask({
    text: "Cloudflare account id, or the address of another S3",
    fallback: endpoint ?? flags.account ?? known("CLOUDFLARE_ACCOUNT_ID") ?? "",
    problem: (answer) =>
      /^(?:[0-9a-f]{32}$|https?:\/\/)/.test(answer)
        ? undefined
        : "an id is 32 hex digits; an address begins with https://",
  });
  if (account.startsWith("http")) settings["R2_ENDPOINT"] = account;
  else Object.assign(settings, { CLOUDFLARE_ACCOUNT_ID: account, R2_ENDPOINT: null });
  const command = await person.ask({
    text: "Command that prints credentials (Enter: keys of the bucket)",
    fallback: flags.credentialsCommand ?? known("CLIPSCRIBE_CREDENTIALS_COMMAND") ?? "",
  });
  settings["CLIPSCRIBE_CREDENTIALS_COMMAND"] = command === "" ? null : command;
  if (command !== "") return;
  const [id, secret] = BUCKET_KEYS;
  await ask(id, "Access key id", known(id) ?? "");
  await ask(secret, "Secret access key (not shown)", known(secret) ?? "");
}

async function askForKeys(
  person: Questioner,
  settings: Answers["settings"],
  known: Known,
): Promise<void> {
  for (const [name, text] of [
    ["MISTRAL_API_KEY", "Mistral key, for transcripts (not shown; Enter: none)"],
    ["XAI_API_KEY", "xAI key, for findings (not shown; Enter: none)"],
  ] as const) {
    const answer = await person.ask({ text, fallback: known(name) ?? "", isSecret: true });
    if (answer !== "") settings[name] = answer;
  }
}
