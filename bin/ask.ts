/** Questions to a person at a terminal; what is secret is not shown while it is typed. */
import type { ReadStream } from "node:tty";

import { ClipscribeError } from "../core/errors.ts";
import type { Io } from "./io.ts";

/** A key, a path or a name; more is a slip of the clipboard. */
const MAX_ANSWER_CHARS = 4_096;
const CTRL_C = "\u0003";
const CTRL_D = "\u0004";
const CTRL_U = "\u0015";

export interface Question {
  text: string;
  /** What Enter alone means. */
  fallback: string;
  isSecret?: boolean;
  /** Returns why an answer can't be used; it is asked again. */
  problem?: (answer: string) => string | undefined;
}

export interface Questioner {
  ask(question: Question): Promise<string>;
  /** @param fallback what Enter alone means. */
  confirm(text: string, fallback: boolean): Promise<boolean>;
}

/** Undefined where nobody is there to answer. */
export function openQuestioner(io: Io): Questioner | undefined {
  const stdin = io.stdin?.();
  if (stdin?.isTTY !== true || io.columns === null) return undefined;
  const ask = async (question: Question): Promise<string> => {
    for (;;) {
      const { text, fallback, isSecret = false, problem } = question;
      const shown = isSecret && fallback !== "" ? "keep" : fallback;
      const prompt = `${text}${shown === "" ? "" : ` [${shown}]`}: `;
      const typed = (await readLine(stdin, io, prompt, isSecret)).trim();
      const answer = typed === "" ? fallback : typed;
      const why = problem?.(answer);
      if (why === undefined) return answer;
      io.stdout(`  ${why}\n`);
    }
  };
  return {
    ask,
    async confirm(text, fallback) {
      const answer = await ask({
        text: `${text} (y/n)`,
        fallback: fallback ? "y" : "n",
        problem: (each) => (/^(?:y|yes|n|no)$/i.test(each) ? undefined : "answer y or n"),
      });
      return /^y/i.test(answer);
    },
  };
}

/** Raw, so that nothing is echoed by the terminal and Ctrl-C is ours: before anybody is asked to type. */
async function readLine(
  stdin: ReadStream,
  io: Io,
  prompt: string,
  isSecret: boolean,
): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  let line = "";
  const type = (char: string): void => {
    if (char === "\r" || char === "\n") return resolve(line);
    if (char === CTRL_C || char === CTRL_D) {
      return reject(new ClipscribeError("cancelled", "nothing was changed"));
    }
    if (char === CTRL_U) {
      if (!isSecret) io.stdout("\b \b".repeat([...line].length));
      line = "";
    } else if (char === "\u007f" || char === "\b") {
      if (!isSecret && line !== "") io.stdout("\b \b");
      line = [...line].slice(0, -1).join("");
    } else if (char >= " " && line.length < MAX_ANSWER_CHARS) {
      line += char;
      if (!isSecret) io.stdout(char);
    }
  };
  const onData = (chunk: Buffer): void => {
    // Arrow keys and the like are sequences, not text.
    const text = chunk.toString("utf8").replaceAll(/\u001b\[[0-9;?]*[ -/]*[@-~]/g, "");
    const [first = "", ...rest] = text.split(/(?<=[\r\n])/);
    for (const char of first) type(char);
    if (rest.length > 0) stdin.unshift(Buffer.from(rest.join("")));
  };
  stdin.setRawMode(true);
  io.stdout(prompt);
  stdin.on("data", onData);
  stdin.resume();
  try {
    return await promise;
  } finally {
    stdin.off("data", onData);
    stdin.pause();
    stdin.setRawMode(false);
    io.stdout("\n");
  }
}
