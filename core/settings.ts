/** The settings that scripts rely on, one list: name, default, what it may be, where it came from. */
import { ClipscribeError } from "./errors.ts";
import { UserId } from "./ids.ts";

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
  { name: "CLIPSCRIBE_RESULTS", fallback: null, about: "results elsewhere", problem: folder },
  {
    name: "CLIPSCRIBE_STORE",
    fallback: null,
    about: "disk:FOLDER",
    problem: (value) =>
      /^disk:./.test(value) ? undefined : "only disk:FOLDER is supported in this version",
  },
  {
    name: "CLIPSCRIBE_QUEUE",
    fallback: null,
    about: "sqlite:FILE",
    problem: (value) =>
      /^sqlite:./.test(value) ? undefined : "only sqlite:FILE is supported in this version",
  },
  {
    name: "CLIPSCRIBE_USER",
    fallback: "me",
    about: "user id in every key",
    problem: (value) =>
      UserId.safeParse(value).success ? undefined : "use a-z, 0-9 and -, not at the ends",
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
    name: "CLIPSCRIBE_ALLOW_PRIVATE",
    fallback: "",
    about: "private addresses allowed for: url",
    problem: (value) =>
      /^(?:|url|webhook|url,webhook|webhook,url)$/.test(value)
        ? undefined
        : "a list of url, webhook",
  },
  {
    name: "CLIPSCRIBE_TSA_URL",
    fallback: null,
    about: "timestamp authority (RFC 3161) for manifests",
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
