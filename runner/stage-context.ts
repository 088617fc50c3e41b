/**
 * The `ctx` of a stage. What needs the outside (tools, money, the log) goes to a `StageHost`: over
 * a message port from a worker thread, directly in a test.
 */
import { mkdir, open, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";

import { ClipscribeError } from "../core/errors.ts";
import { UnusableAnswer } from "../core/stage.ts";
import type {
  ChatRequest,
  InputFile,
  OutputFile,
  StageContext,
  ToolOptions,
} from "../core/stage.ts";
import type { StageHost } from "../ports/stage-pool.ts";
import { hashFile } from "./stage-values.ts";
import { openWrittenFiles } from "./written-files.ts";

/** A stage reads a file as a whole; a larger file should be streamed by a tool. */
const MAX_READ_BYTES = 64 * 1024 * 1024;
/** Enough for ffprobe's JSON of a medium with a thousand streams. */
const DEFAULT_STDOUT_BYTES = 16 * 1024 * 1024;
const scratchName = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$/;

export interface StageContextOptions {
  host: StageHost;
  signal: AbortSignal;
  scratchDir: string;
  provider: { provider: string; model: string } | null;
  /** Turns a zod schema into JSON Schema; only a stage that chats pays for loading it. */
  toJsonSchema: (schema: unknown) => unknown;
}

export function createStageContext(options: StageContextOptions): StageContext {
  const { host, signal, scratchDir } = options;
  const written = openWrittenFiles();
  let scratchMade: Promise<unknown> | undefined;
  const pathOf = (name: string): string => {
    if (!scratchName.test(name)) {
      throw new ClipscribeError("contract", "not a usable name for a scratch file", {
        details: { name },
        hint: "use letters, digits, . _ and -",
      });
    }
    return join(scratchDir, name);
  };
  const outputFile = async (name: string): Promise<OutputFile> => {
    const path = pathOf(name);
    written.settle(path);
    scratchMade ??= mkdir(scratchDir, { recursive: true });
    await scratchMade;
    return { path };
  };

  return {
    signal,
    provider: options.provider,
    log: {
      debug: (message, details) => host.log("debug", message, details ?? {}),
      info: (message, details) => host.log("info", message, details ?? {}),
      warn: (message, details) => host.log("warn", message, details ?? {}),
    },
    readText: async (file) => (await readBounded(file)).toString("utf8"),
    readBytes: readBounded,
    outputFile,
    async write(name, content) {
      const kept = written.hold(pathOf(name), content);
      if (kept !== undefined) return kept;
      const made = await outputFile(name);
      await writeFile(made.path, content, { signal });
      return made;
    },
    async tool(tool, args, toolOptions: ToolOptions = {}) {
      written.settle();
      scratchMade ??= mkdir(scratchDir, { recursive: true });
      await scratchMade;
      return host.tool(
        {
          tool,
          args,
          timeoutMs: toolOptions.timeoutMs ?? null,
          maxStdoutBytes: toolOptions.maxStdoutBytes ?? DEFAULT_STDOUT_BYTES,
          wantsLines: toolOptions.onLine !== undefined,
        },
        toolOptions.onLine,
      );
    },
    progress: (fraction, note = "") => host.progress(Math.min(1, Math.max(0, fraction)), note),
    async transcribe(request) {
      const { audio } = request;
      return host.transcribe({
        ...request,
        audio: "sha256" in audio ? audio : await describeMade(audio),
      });
    },
    async chat<Answer>(request: ChatRequest<Answer>) {
      const reply = await host.chat({
        instructions: request.instructions ?? null,
        attempt: request.attempt ?? 1,
        prompt: request.prompt,
        jsonSchema: options.toJsonSchema(request.schema),
        maxAnswerTokens: request.maxAnswerTokens ?? null,
      });
      if ("unusable" in reply) throw new UnusableAnswer(reply.unusable, reply.isNew);
      const parsed = request.schema.safeParse(reply.answer);
      if (parsed.success) return parsed.data;
      const message = "the model's answer does not fit the schema";
      throw new UnusableAnswer(message, reply.isNew, parsed.error);
    },
    incomplete: (why) => host.incomplete(why),
    paid: (request, estimateUsd) => host.paid(request, estimateUsd),
  };
}

/** A file of the stage's own, with the digest that makes equal sound the same call. */
async function describeMade({ path }: OutputFile): Promise<InputFile> {
  const { sha256, sizeBytes } = await hashFile(path);
  return { path, sha256, sizeBytes, mediaType: "application/octet-stream", name: basename(path) };
}

/** Never reads more than the bound, whatever the file grows to meanwhile. */
async function readBounded(file: InputFile | OutputFile): Promise<Buffer> {
  await using handle = await open(file.path, "r");
  const { size } = await handle.stat();
  if (size > MAX_READ_BYTES) {
    throw new ClipscribeError("contract", "a file is too large to read as a whole", {
      details: { file: "name" in file ? file.name : basename(file.path), bytes: size },
      hint: `captions and texts may have at most ${MAX_READ_BYTES / 1024 / 1024} MiB`,
    });
  }
  const buffer = Buffer.alloc(size);
  let filled = 0;
  while (filled < size) {
    const { bytesRead } = await handle.read(buffer, filled, size - filled, filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return buffer.subarray(0, filled);
}
