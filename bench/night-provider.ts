/**
 * The provider of a night, and its books: who was told what. Its answers, waits and faults come of
 * what it is asked and how often, not of the order in which runners ask.
 *
 * Asked again for what it has answered, it says what that means by what anybody can see in the
 * bucket: an answer that is written there was ignored; one that is not was lost with whoever had it,
 * or was lost by a runner that lives. Only the second is what a crash may cost.
 */
import { createHash } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";

import { startProviderServer } from "../stand-ins/provider-server.ts";
import type { ProviderServer, Received, Reply } from "../stand-ins/provider-server.ts";
import type { Absence } from "./night-fleet.ts";
import type { NightReader } from "./night-reader.ts";

/** HTTP tells the time of an object by whole seconds, rounded down. */
const SECOND_MS = 1_000;
/** So long a runner may need to write an answer, in a night like this. */
const MAX_UNWRITTEN_MS = 20_000;

export interface NightBooks {
  asked: number;
  answered: number;
  faults: number;
  /** Asked again though nobody was disturbed, or though the answer is in the bucket: a defect. */
  twice: number;
  /** Asked again for an answer that its runner could not write before it was killed or stopped. */
  twice_after_a_kill: number;
  /** The same, of a runner that was not disturbed but too slow to live: others took it for dead. */
  twice_after_a_loss: number;
}

export interface NightProvider extends AsyncDisposable {
  url: string;
  books: NightBooks;
  /** What it answers to each part of a medium's text. */
  saidTo(text: string): string[];
  /** Resolves when all that was asked twice is judged. */
  judged(): Promise<void>;
}

export interface NightProviderOptions {
  seed: number;
  reader: NightReader;
  /** What is known of a process that runs a runner, by its name. */
  about: (name: string) => { absences: readonly Absence[]; runnerIds: readonly string[] };
}

export async function startNightProvider(options: NightProviderOptions): Promise<NightProvider> {
  const { seed, reader, about } = options;
  const books: NightBooks = {
    asked: 0,
    answered: 0,
    faults: 0,
    twice: 0,
    twice_after_a_kill: 0,
    twice_after_a_loss: 0,
  };
  const asked = new Map<string, number>();
  const answers = new Map<string, { atMs: number; runner: string; said: string }>();
  const judging = new Set<Promise<void>>();

  async function answer({ json, path, isOpen }: Received): Promise<Reply> {
    const { prompt, digest } = read(json);
    const runner = path.split("/")[1] ?? "";
    const nth = (asked.get(digest) ?? 0) + 1;
    asked.set(digest, nth);
    books.asked++;
    const before = answers.get(digest);
    if (before !== undefined) {
      answers.delete(digest);
      const verdict = judge(before, runner, Date.now()).finally(() => judging.delete(verdict));
      judging.add(verdict);
    }
    const chance = (what: string): number => fractionOf(`${seed} ${digest} ${nth} ${what}`);
    // Now and then it takes its time.
    await delay(100 + chance("wait") * 700 + (chance("stall") < 0.02 ? 4_000 : 0));
    if (!isOpen()) return { body: {} };
    const fault = chance("fault");
    if (fault < 0.12) {
      books.faults++;
      if (fault < 0.05) return { cut: { content: "x".repeat(4_000) } };
      if (fault < 0.1) return { status: fault < 0.07 ? 500 : 503, body: {} };
      return { status: 429, headers: { "retry-after": "1" }, body: {} };
    }
    books.answered++;
    const said = saidOf(prompt);
    answers.set(digest, { atMs: Date.now(), runner, said });
    const content = JSON.stringify({ said });
    const usage = { prompt_tokens: 100, completion_tokens: 10 };
    return { body: { choices: [{ message: { content }, finish_reason: "stop" }], usage } };
  }

  async function judge(
    before: { atMs: number; runner: string; said: string },
    asker: string,
    askedMs: number,
  ): Promise<void> {
    const { absences, runnerIds } = about(before.runner);
    // It went before it could write what it was told, or was told what it could not hear.
    const wasAway = absences.some(
      ({ fromMs, toMs }) =>
        fromMs <= askedMs && before.atMs <= toMs && fromMs - before.atMs <= MAX_UNWRITTEN_MS,
    );
    const tell = (what: string): void =>
      console.error(
        `asked twice (${what}): ${before.runner} had its answer ${askedMs - before.atMs} ms ago; now ${asker} asks`,
      );
    if (await isWritten(before.said, askedMs)) {
      books.twice++;
      return tell("the answer is in the bucket");
    }
    if (wasAway) {
      books.twice_after_a_kill++;
      return;
    }
    if (await isDead(runnerIds)) {
      books.twice_after_a_loss++;
      return tell("its runner was taken for dead");
    }
    books.twice++;
    tell("its runner lives");
  }

  /** By the entry's own time: it may be written while this looks. */
  async function isWritten(said: string, byMs: number): Promise<boolean> {
    for (const key of await reader.list(`cache/${reader.user}/`)) {
      const found = await reader.read(key);
      const text = found?.body.toString("utf8") ?? "";
      const isAnswer = /"state": ?"done"/.test(text) && text.includes(said);
      if (isAnswer && found !== null && found.writtenMs + SECOND_MS <= byMs) return true;
    }
    return false;
  }

  async function isDead(ids: readonly string[]): Promise<boolean> {
    const records = await Promise.all(ids.map(async (id) => reader.get(`sys/runners/${id}.json`)));
    return records.some(
      (record) => record === null || /"status": ?"dead"/.test(record.toString("utf8")),
    );
  }

  const server: ProviderServer = await startProviderServer(answer);
  return {
    url: server.url,
    books,
    saidTo: (text) => [1, 2].map((part) => saidOf(`${part} ${text}`)),
    async judged() {
      await Promise.all(judging);
    },
    [Symbol.asyncDispose]: async () => server[Symbol.asyncDispose](),
  };
}

/** What it is asked: the last message's text; and by what it knows the same question again. */
function read(json: unknown): { prompt: string; digest: string } {
  const { messages = [] } = json as { messages?: { content?: unknown }[] };
  const prompt = String(messages.at(-1)?.content ?? "");
  return { prompt, digest: createHash("sha256").update(JSON.stringify(json)).digest("hex") };
}

function saidOf(prompt: string): string {
  return `said-${createHash("sha256").update(prompt.trim()).digest("hex").slice(0, 16)}`;
}

function fractionOf(text: string): number {
  return createHash("sha256").update(text).digest().readUInt32BE(0) / 2 ** 32;
}
