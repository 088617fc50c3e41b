/** Shell completion and the manual page, from the same definition as the commands. */
import type { Command } from "commander";

import { ClipscribeError } from "../core/errors.ts";
import type { Io } from "./io.ts";

interface Place {
  /** The words up to here, without the program's own: `["batch", "submit"]`. */
  path: string[];
  about: string;
  /** Commands below it. */
  verbs: { name: string; about: string }[];
  /** Long options, with what they are for. */
  options: { flag: string; about: string; takesValue: boolean }[];
}

export function completion(shell: string, program: Command, io: Io): Promise<number> {
  const scripts: Record<string, (places: readonly Place[]) => string> = { bash, zsh, fish };
  const script = scripts[shell];
  if (script === undefined) {
    throw new ClipscribeError("config", "no completion for this shell", {
      details: { shell: shell.slice(0, 20) },
      hint: "use bash, zsh or fish",
    });
  }
  io.stdout(script(listPlaces(program)));
  return Promise.resolve(0);
}

/** The program and every command below it, however deep; options of the program count everywhere. */
function listPlaces(program: Command): Place[] {
  const optionsOf = (command: Command): Place["options"] =>
    command.options.flatMap(({ long, description, required, optional }) =>
      long == null ? [] : [{ flag: long, about: description, takesValue: required || optional }],
    );
  const everywhere = optionsOf(program);
  const visit = (command: Command, path: string[]): Place[] => {
    const own = path.length === 0 ? [] : optionsOf(command);
    const place: Place = {
      path,
      about: command.description(),
      verbs: command.commands.map((each) => ({ name: each.name(), about: each.description() })),
      options: [...own, ...everywhere, { flag: "--help", about: "show help", takesValue: false }],
    };
    const below = command.commands.flatMap((each) => visit(each, [...path, each.name()]));
    return [place, ...below];
  };
  return visit(program, []);
}

const flagsOf = ({ options }: Place): string => options.map(({ flag }) => flag).join(" ");
const verbsOf = ({ verbs }: Place): string => verbs.map(({ name }) => name).join(" ");
/** Finds the longest path that the typed words begin with; bash 3.2 has no associative arrays. */
const cases = (places: readonly Place[], line: (place: Place) => string): string =>
  places.map((place) => `    "${place.path.join(" ")}") ${line(place)} ;;`).join("\n");

function bash(places: readonly Place[]): string {
  return `_clipscribe() {
  local word=\${COMP_WORDS[COMP_CWORD]} path="" verbs="" flags="" at
  for ((at = 1; at < COMP_CWORD; at++)); do
    case "\${COMP_WORDS[at]}" in -*) continue ;; esac
    case "\${path:+$path }\${COMP_WORDS[at]}" in
${places
  .filter(({ path }) => path.length > 0)
  .map(({ path }) => `      "${path.join(" ")}") path="${path.join(" ")}" ;;`)
  .join("\n")}
    esac
  done
  case "$path" in
${cases(places, (place) => `verbs="${verbsOf(place)}"; flags="${flagsOf(place)}"`)}
  esac
  case "$word" in
    -*) COMPREPLY=($(compgen -W "$flags" -- "$word")) ;;
    *) COMPREPLY=($(compgen -W "$verbs" -- "$word")) ;;
  esac
}
complete -o default -F _clipscribe clipscribe
`;
}

function zsh(places: readonly Place[]): string {
  const described = (entries: readonly { name: string; about: string }[]): string =>
    entries.map(({ name, about }) => quote(`${name}:${about.replaceAll(":", "\\:")}`)).join(" ");
  const line = (place: Place): string => {
    const flags = place.options.map(({ flag, about }) => ({ name: flag, about }));
    return `verbs=(${described(place.verbs)}); flags=(${described(flags)})`;
  };
  return `#compdef clipscribe
_clipscribe() {
  local typed="" word
  local -a verbs flags
  for word in \${words[2,CURRENT-1]}; do
    case "$word" in -*) continue ;; esac
    case "\${typed:+$typed }$word" in
${places
  .filter(({ path }) => path.length > 0)
  .map(({ path }) => `      "${path.join(" ")}") typed="${path.join(" ")}" ;;`)
  .join("\n")}
    esac
  done
  case "$typed" in
${cases(places, line)}
  esac
  if [[ "\${words[CURRENT]}" == -* ]]; then _describe option flags
  elif (( \${#verbs} > 0 )); then _describe command verbs
  else _files; fi
}
compdef _clipscribe clipscribe
`;
}

function fish(places: readonly Place[]): string {
  /** True while exactly the words of this path were typed, options left aside. */
  const condition = ({ path }: Place): string => `__clipscribe_at ${quote(path.join(" "))}`;
  const lines = places.flatMap((place) => {
    const when = `complete -c clipscribe -n "${condition(place)}"`;
    return [
      ...place.verbs.map(({ name, about }) => `${when} -f -a ${name} -d ${quote(about)}`),
      ...place.options.map(
        ({ flag, about, takesValue }) =>
          `${when} -l ${flag.slice(2)}${takesValue ? " -r" : ""} -d ${quote(about)}`,
      ),
    ];
  });
  const paths = places.filter(({ path }) => path.length > 0).map(({ path }) => path.join(" "));
  return `function __clipscribe_at
  set -l at ""
  for word in (commandline -opc)[2..-1]
    string match -q -- "-*" $word; and continue
    set -l next (string trim -- "$at $word")
    contains -- $next ${paths.map(quote).join(" ")}; and set at $next
  end
  test "$at" = "$argv[1]"
end
${lines.join("\n")}
`;
}

/** roff, for `man -l -`. */
export function manual(program: Command): string {
  const escape = (text: string): string =>
    text.replaceAll("\\", "\\e").replaceAll("-", "\\-").replaceAll(/^\./gm, "\\&.");
  const describe = (command: Command, path: string): string[] => {
    const name = `${path}${command.name()}`;
    const usage = `${name} ${command.usage()}`;
    const options = command.options.map(
      (option) => `.TP\n.B ${escape(option.flags)}\n${escape(option.description)}`,
    );
    const own = `.SS ${escape(usage)}\n${escape(command.description())}\n${options.join("\n")}`;
    return [own, ...command.commands.flatMap((each) => describe(each, `${name} `))];
  };
  return `.TH CLIPSCRIBE 1
.SH NAME
clipscribe \\- ${escape(program.description())}
.SH SYNOPSIS
.B clipscribe
.I command
[options]
.SH COMMANDS
${program.commands.flatMap((command) => describe(command, "")).join("\n")}
.SH EXIT STATUS
0 complete, 1 bug, 2 usage or pipeline.yaml, 3 input refused, 4 partial, 5 failed, 6 held, 7 verification failed, 8 not reachable or denied, 130 interrupted
`;
}

/** For a POSIX shell, zsh and fish alike: no quote ever stands inside quotes. */
function quote(text: string): string {
  return `'${text.replaceAll(/['\u2019]/g, "\u2019")}'`;
}
