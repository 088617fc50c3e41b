/** Shell completion and the manual page, from the same definition as the commands. */
import type { Command } from "commander";

import { ClipscribeError } from "../core/errors.ts";
import type { Io } from "./io.ts";

export function completion(shell: string, program: Command, io: Io): Promise<number> {
  const verbs = program.commands.map((command) => command.name());
  const options = (command: Command): string[] => command.options.flatMap(({ long }) => long ?? []);
  const cases = program.commands.map((command) => ({
    name: command.name(),
    options: options(command),
  }));
  switch (shell) {
    case "bash":
      io.stdout(`_clipscribe() {
  local word=\${COMP_WORDS[COMP_CWORD]}
  if [ "$COMP_CWORD" = 1 ]; then COMPREPLY=($(compgen -W "${verbs.join(" ")}" -- "$word")); return; fi
  case \${COMP_WORDS[1]} in
${cases.map(({ name, options: list }) => `    ${name}) COMPREPLY=($(compgen -W "${list.join(" ")}" -- "$word")) ;;`).join("\n")}
  esac
}
complete -o default -F _clipscribe clipscribe
`);
      return Promise.resolve(0);
    case "zsh":
      io.stdout(`#compdef clipscribe
if (( CURRENT == 2 )); then compadd ${verbs.join(" ")}; return; fi
case $words[2] in
${cases.map(({ name, options: list }) => `  ${name}) compadd -- ${list.join(" ")}; _files ;;`).join("\n")}
esac
`);
      return Promise.resolve(0);
    case "fish":
      io.stdout(
        [
          ...program.commands.map(
            (each) =>
              `complete -c clipscribe -n __fish_use_subcommand -a ${each.name()} -d ${quote(each.description())}`,
          ),
          ...cases.flatMap(({ name, options: list }) =>
            list.map(
              (option) =>
                `complete -c clipscribe -n "__fish_seen_subcommand_from ${name}" -l ${option.slice(2)}`,
            ),
          ),
          "",
        ].join("\n"),
      );
      return Promise.resolve(0);
    default:
      throw new ClipscribeError("config", "no completion for this shell", {
        details: { shell: shell.slice(0, 20) },
        hint: "use bash, zsh or fish",
      });
  }
}

/** roff, for `man -l -`. */
export function manual(program: Command): string {
  const escape = (text: string): string =>
    text.replaceAll("\\", "\\e").replaceAll("-", "\\-").replaceAll(/^\./gm, "\\&.");
  const commands = program.commands.map((command) => {
    const usage = `${command.name()} ${command.usage()}`;
    const options = command.options.map(
      (option) => `.TP\n.B ${escape(option.flags)}\n${escape(option.description)}`,
    );
    return `.SS ${escape(usage)}\n${escape(command.description())}\n${options.join("\n")}`;
  });
  return `.TH CLIPSCRIBE 1
.SH NAME
clipscribe \\- ${escape(program.description())}
.SH SYNOPSIS
.B clipscribe
.I command
[options]
.SH COMMANDS
${commands.join("\n")}
.SH EXIT STATUS
0 complete, 1 bug, 2 usage or pipeline.yaml, 3 input refused, 4 partial, 5 failed, 6 held, 7 verification failed, 8 not reachable or denied, 130 interrupted
`;
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "\\'")}'`;
}
