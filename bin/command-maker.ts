/** What a file of commands gets: how to define one, and where its exit code goes. */
import { InvalidArgumentError, Option } from "commander";
import type { Command } from "commander";

import type { Io } from "./io.ts";

export interface CommandMaker {
  /** Adds a verb; give it arguments, options and an action. */
  command(name: string, about: string): Command;
  setCode(code: number): void;
  io: Io;
}

/** Flags that verbs share, as commander hands them over. */
export type RunFlags = {
  pipeline?: string;
  again?: boolean;
  notify?: string[];
  keepVideo?: boolean;
  budget?: number;
  json?: boolean;
  plain?: boolean;
  quiet?: boolean;
  verbose?: boolean;
};

export function pipelineOption(): Option {
  return new Option("--pipeline <file>", "another pipeline.yaml");
}

/** May be said twice: once for mail, once for the web. */
export function notifyOption(): Option {
  return new Option(
    "--notify <address>",
    "told when the job is finished: a mail address, or an https:// address",
  ).argParser((address: string, before?: string[]) => [...(before ?? []), address]);
}

export function parseUsd(text: string): number {
  if (/^\$?\d+(?:\.\d+)?$/.test(text)) return Number(text.replace("$", ""));
  throw new InvalidArgumentError("give dollars, as 2 or 0.50");
}

export function parseCount(text: string): number {
  if (/^\d{1,6}$/.test(text)) return Number(text);
  throw new InvalidArgumentError("give a whole number");
}
