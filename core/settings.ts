/** The settings that scripts rely on, one list: name, default, what it may be, where it came from. */
import { ClipscribeError } from "./errors.ts";
import { isUserId } from "./id-pattern.ts";
import { problemOfEmail, problemOfWebhook } from "./recipients.ts";
import { JURISDICTIONS } from "./r2-endpoint.ts";

export interface SettingSpec {
  name: string;
  fallback: string | null;
  secret?: boolean;
  about: string;
  /** Returns why a value can't be used. */
  problem?: (value: string) => string | undefined;
}

const milliseconds = (value: string): string | undefined =>
  /^\d{1,9}$/.test(value) && Number(value) >= 50 ? undefined : "give milliseconds, at least 50";
const folder = (value: string): string | undefined =>
  value.includes("\u0000") || value === "" ? "name a folder" : undefined;

const webAddress = (value: string): string | undefined => {
  const url = URL.canParse(value) ? new URL(value) : undefined;
  const isWeb = url?.protocol === "https:" || url?.protocol === "http:";
  return isWeb && url.username === "" ? undefined : "give an http:// or https:// address";
};

export const SETTINGS: readonly SettingSpec[] = [
  { name: "CLIPSCRIBE_HOME", fallback: "~/ClipScribe", about: "state, results", problem: folder },
  { name: "CLIPSCRIBE_INBOX", fallback: null, about: "the inbox elsewhere", problem: folder },
  { name: "CLIPSCRIBE_RESULTS", fallback: null, about: "results elsewhere", problem: folder },
  {
    name: "CLIPSCRIBE_STORE",
    fallback: null,
    about: "disk:FOLDER, r2:BUCKET or s3:BUCKET",
    problem: (value) =>
      /^(?:disk:.|(?:r2|s3):[a-z0-9][a-z0-9.-]{1,62}$)/.test(value)
        ? undefined
        : "give disk:FOLDER, r2:BUCKET or s3:BUCKET",
  },
  {
    name: "CLIPSCRIBE_QUEUE",
    fallback: null,
    about: "sqlite:FILE, cloudflare or poll",
    problem: (value) =>
      /^(?:sqlite:.|cloudflare$|poll$)/.test(value)
        ? undefined
        : "give sqlite:FILE, cloudflare or poll",
  },
  {
    name: "CLIPSCRIBE_USER",
    fallback: "me",
    about: "user id in every key",
    problem: (value) => (isUserId(value) ? undefined : "use a-z, 0-9 and -, not at the ends"),
  },
  {
    name: "CLIPSCRIBE_LEASE_MS",
    fallback: "10000",
    about: "a runner's lease",
    problem: milliseconds,
  },
  {
    name: "CLIPSCRIBE_SWEEP_MS",
    fallback: "5000",
    about: "time between sweeps",
    problem: milliseconds,
  },
  {
    name: "CLIPSCRIBE_STALL_MS",
    fallback: "600000",
    about: "a runner that gets nothing done for so long ends",
    problem: milliseconds,
  },
  {
    name: "CLIPSCRIBE_POLL_MS",
    fallback: "5000",
    about: "longest wait between two pulls of a queue, or two listings without one",
    problem: milliseconds,
  },
  {
    name: "CLIPSCRIBE_SETTLE_MS",
    fallback: "1500",
    about: "how long a dropped file must stand still, at least",
    problem: milliseconds,
  },
  {
    name: "CLIPSCRIBE_QUEUE_OPERATIONS_PER_DAY",
    fallback: "10000",
    about: "of Cloudflare Queues, or none; free: 10000",
    problem: (value) => (/^(?:none|\d{1,9})$/.test(value) ? undefined : "give a number, or none"),
  },
  {
    name: "CLIPSCRIBE_UPLOAD_MBIT_S",
    fallback: "none",
    about: "megabits a second that uploads may take, or none",
    problem: (value) =>
      value === "none" || (/^\d{1,6}(?:\.\d{1,3})?$/.test(value) && Number(value) > 0)
        ? undefined
        : "give megabits a second as 20 or 0.5, or none",
  },
  {
    name: "R2_ENDPOINT",
    fallback: null,
    about: "of an S3; for R2, made of the account and jurisdiction",
    problem: webAddress,
  },
  { name: "R2_ACCESS_KEY_ID", fallback: null, about: "of a token that may write the bucket" },
  { name: "R2_SECRET_ACCESS_KEY", fallback: null, secret: true, about: "its secret" },
  { name: "R2_SESSION_TOKEN", fallback: null, secret: true, about: "of temporary credentials" },
  {
    name: "CLIPSCRIBE_CREDENTIALS_COMMAND",
    fallback: null,
    about: "prints fresh credentials of the bucket; words, no shell",
  },
  { name: "CLOUDFLARE_ACCOUNT_ID", fallback: null, about: "whose queues are asked" },
  {
    name: "CLOUDFLARE_JURISDICTION",
    fallback: "default",
    about: "default, eu, us or fedramp: where bucket and queues are kept",
    problem: (value) =>
      JURISDICTIONS.some((each) => each === value) ? undefined : `give ${JURISDICTIONS.join(", ")}`,
  },
  { name: "CLOUDFLARE_API_TOKEN", fallback: null, secret: true, about: "with Queues: Edit" },
  {
    name: "CLOUDFLARE_API_BASE_URL",
    fallback: "https://api.cloudflare.com/client/v4",
    about: "with /client/v4",
    problem: webAddress,
  },
  { name: "CLIPSCRIBE_QUEUE_URGENT", fallback: null, about: "id of the queue of urgent tickets" },
  { name: "CLIPSCRIBE_QUEUE_BATCH", fallback: null, about: "id of the queue of other tickets" },
  {
    name: "CLIPSCRIBE_WEB_ORIGINS",
    fallback: "",
    about: "pages that read the bucket (CORS), as https://desk.example.org",
    problem: (value) =>
      value.split(",").every((each) => each === "" || URL.parse(each)?.origin === each)
        ? undefined
        : "a list of https://host, without a path",
  },
  {
    name: "CLIPSCRIBE_ALLOW_PRIVATE",
    fallback: "",
    about: "private addresses allowed for: url, webhook, store",
    problem: (value) =>
      /^(?:(?:url|webhook|store)(?:,(?!$)|$))*$/.test(value)
        ? undefined
        : "a list of url, webhook, store",
  },
  {
    name: "CLIPSCRIBE_ALLOW_OLD_YT_DLP",
    fallback: "no",
    about: "yes: a yt-dlp with known holes may go out",
    problem: (value) => (/^(?:yes|no)$/.test(value) ? undefined : "give yes or no"),
  },
  {
    name: "CLIPSCRIBE_PIPELINE_PUBLIC_KEY",
    fallback: null,
    about: "file (PEM, Ed25519): only pushed pipelines that it signed are run",
    problem: folder,
  },
  {
    name: "CLIPSCRIBE_PIPELINE_SIGNING_KEY",
    fallback: null,
    about: "file (PEM, Ed25519) to sign pipelines with that are pushed",
    problem: folder,
  },
  {
    name: "CLIPSCRIBE_TSA_URL",
    fallback: null,
    about: "timestamp authority (RFC 3161) for manifests",
    problem: webAddress,
  },
  {
    name: "CLIPSCRIBE_SMTP_URL",
    fallback: null,
    secret: true,
    about: "mail server: smtp://USER:PASSWORD@HOST:587 or smtps://…",
    problem: (value) =>
      URL.canParse(value) && /^smtps?:$/.test(new URL(value).protocol)
        ? undefined
        : "give smtp://USER:PASSWORD@HOST:587 or smtps://USER:PASSWORD@HOST",
  },
  {
    name: "CLIPSCRIBE_MAIL_FROM",
    fallback: null,
    about: "whom mail is from: Name <a@example.org>",
  },
  {
    name: "CLIPSCRIBE_WEBHOOK_SECRET",
    fallback: null,
    secret: true,
    about: "signs webhooks: whsec_…; several, newest first, to replace one",
  },
  {
    name: "CLIPSCRIBE_NOTIFY_EMAIL",
    fallback: null,
    about: "told of jobs that name nobody",
    problem: problemOfEmail,
  },
  {
    name: "CLIPSCRIBE_NOTIFY_WEBHOOK",
    fallback: null,
    about: "the same, by webhook",
    problem: (value) => problemOfWebhook(value, true),
  },
  {
    name: "CLIPSCRIBE_RESULTS_URL",
    fallback: null,
    about: "stands for s3://BUCKET/results in messages",
    problem: webAddress,
  },
  { name: "MISTRAL_API_KEY", fallback: null, secret: true, about: "transcription by Mistral" },
  {
    name: "MISTRAL_BASE_URL",
    fallback: "https://api.mistral.ai",
    about: "without /v1/…",
    problem: webAddress,
  },
  {
    name: "XAI_API_KEY",
    fallback: null,
    secret: true,
    about: "findings, and transcription, by xAI",
  },
  {
    name: "XAI_BASE_URL",
    fallback: "https://api.x.ai",
    about: "without /v1/…",
    problem: webAddress,
  },
  ...(["ASR", "CHAT"] as const).flatMap((kind): SettingSpec[] => [
    {
      name: `OPENAI_COMPATIBLE_${kind}_URL`,
      fallback: null,
      about: "your own server, as http://127.0.0.1:8000",
      problem: webAddress,
    },
    {
      name: `OPENAI_COMPATIBLE_${kind}_KEY`,
      fallback: null,
      secret: true,
      about: "its key, if it wants one",
    },
    { name: `OPENAI_COMPATIBLE_${kind}_MODEL`, fallback: null, about: "the model it serves" },
    priceOfServer(kind),
  ]),
];

export interface ResolvedSetting {
  name: string;
  value: string | null;
  from: "default" | "config.yaml" | "environment" | "flag";
  spec: SettingSpec;
}

export type SettingSources = Record<
  "config.yaml" | "environment" | "flag",
  Record<string, string | undefined>
>;

/** Defaults < config.yaml < environment < flags. @throws `config` naming every bad value. */
export function resolveSettings(sources: SettingSources): Map<string, ResolvedSetting> {
  const known = new Set(SETTINGS.map(({ name }) => name));
  const problems: string[] = [];
  for (const name of Object.keys(sources["config.yaml"])) {
    if (!known.has(name)) problems.push(`config.yaml: unknown setting ${name.slice(0, 60)}`);
  }
  const resolved = new Map<string, ResolvedSetting>();
  for (const spec of SETTINGS) {
    let setting: ResolvedSetting = { name: spec.name, value: spec.fallback, from: "default", spec };
    for (const from of ["config.yaml", "environment", "flag"] as const) {
      const value = sources[from][spec.name];
      if (value === undefined || (value === "" && spec.fallback !== "")) continue;
      setting = { ...setting, value, from };
    }
    const problem =
      setting.value === null || setting.from === "default"
        ? undefined
        : spec.problem?.(setting.value);
    if (problem !== undefined) problems.push(`${spec.name} (${setting.from}): ${problem}`);
    resolved.set(spec.name, setting);
  }
  if (problems.length > 0) {
    throw new ClipscribeError("config", problems.join("; "), {
      hint: "correct it; `clipscribe config show` says where each value comes from",
    });
  }
  return resolved;
}

/** The value for people: secrets show that they are set, and nothing else. */
export function showSetting({ value, spec }: ResolvedSetting): string {
  if (value === null) return "(not set)";
  return spec.secret === true ? "(set, hidden)" : value;
}

/** Of a server that somebody charges for, as OpenAI's own; without one it is counted as free. */
function priceOfServer(kind: string): SettingSpec {
  const isSound = kind === "ASR";
  const form = isSound
    ? /^\d{1,4}(?:\.\d{1,8})?$/
    : /^\d{1,6}(?:\.\d{1,6})?\/\d{1,6}(?:\.\d{1,6})?$/;
  return {
    name: `OPENAI_COMPATIBLE_${kind}_USD`,
    fallback: null,
    about: isSound ? "what it charges a minute" : "what it charges a million tokens: IN/OUT",
    problem: (value) =>
      form.test(value)
        ? undefined
        : isSound
          ? "give dollars a minute, as 0.006"
          : "give dollars a million tokens in and out, as 0.15/0.60",
  };
}
