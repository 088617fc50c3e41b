/**
 * What a stage writes with `ctx.write`. Most such texts are outputs that nothing opens by their path:
 * they stay in memory, and become a file when somebody asks for the path, or a tool may look for them.
 * So an output costs no file that would be read once and deleted.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

import type { OutputFile } from "../core/stage.ts";

/** A larger text is a file at once: it need not cross to the runner's thread as a whole. */
const MAX_HELD_CHARS = 512 * 1024;

export interface WrittenFiles {
  /** Holds a text for the file of that path; undefined where it is to be written at once. */
  hold(path: string, content: string | Uint8Array): OutputFile | undefined;
  /** Writes what is held: all of it, or what is held for one path. */
  settle(path?: string): void;
}

/** The text that a returned output stands for, while it is no file. */
const held = new WeakMap<OutputFile, () => string | undefined>();

export function heldText(output: unknown): string | undefined {
  return typeof output === "object" && output !== null
    ? held.get(output as OutputFile)?.()
    : undefined;
}

export function openWrittenFiles(): WrittenFiles {
  const texts = new Map<string, string>();

  function settle(path: string): void {
    const text = texts.get(path);
    if (text === undefined) return;
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
    texts.delete(path);
  }

  return {
    hold(path, content) {
      if (typeof content !== "string" || content.length > MAX_HELD_CHARS) {
        texts.delete(path);
        return undefined;
      }
      texts.set(path, content);
      const output: OutputFile = {
        get path() {
          settle(path);
          return path;
        },
      };
      held.set(output, () => texts.get(path));
      return output;
    },
    settle(path) {
      for (const each of path === undefined ? [...texts.keys()] : [path]) settle(each);
    },
  };
}
