/** What the completion scripts need to know of a command. */
export interface CompletedCommand {
  /** As typed: words separated by spaces. */
  readonly name: string
  readonly summary: string
  readonly flags: readonly {
    readonly name: string
    readonly char?: string
    readonly summary: string
    /** The values it takes, where they are a closed list; none: it takes no value, or any. */
    readonly values: readonly string[]
    readonly takesValue: boolean
    /** Names that its value may begin with, before a =, and what may follow it. */
    readonly settings: readonly { readonly name: string; readonly values: readonly string[] }[]
  }[]
  /** Values of its arguments, where they are a closed list; else files are completed. */
  readonly values: readonly string[]
}

const word = /^[A-Za-z0-9][A-Za-z0-9._:=-]*$/

/** Of the JSON of `partition list`: the numbers of the partitions, one a line. */
const numbersOnly = `sed -n 's/^ *"number": \\([0-9]*\\),*$/\\1/p'`

/** Only plain words get into a script: a plug-in's names are not ours. */
function safe(words: readonly string[]): string {
  return words.filter((one) => word.test(one)).join(' ')
}

/**
 * A completion script for bash, also loaded by zsh through bashcompinit. It completes commands, flags, values that are
 * a closed list, and files everywhere else.
 */
export function bashCompletion(
  bin: string,
  commands: readonly CompletedCommand[],
  extensions: readonly string[],
): string {
  const first = [...new Set([...commands.map(({ name }) => name.split(' ')[0] ?? ''), 'help'])]
  const topics = first.filter((topic) => commands.some(({ name }) => name.startsWith(`${topic} `)))
  const seconds = topics.map((topic) => {
    const names = commands.flatMap(({ name }) => (name.startsWith(`${topic} `) ? [name.split(' ')[1] ?? ''] : []))
    return `    ${topic}) words="${safe(names)}" ;;`
  })
  const flags = commands.map(({ name, flags: list }) => {
    const all = list.map((flag) => `--${flag.name}`).filter((flag) => word.test(flag.slice(2)))
    return `    "${name}") flags="${all.join(' ')}" ;;`
  })
  const values = commands.flatMap(({ name, flags: list }) =>
    list
      .filter((flag) => flag.takesValue)
      .map((flag) => {
        const names = [`--${flag.name}`, ...(flag.char === undefined ? [] : [`-${flag.char}`])]
        const words = [...flag.values, ...flag.settings.flatMap(settingWords)]
        return `    ${names.map((one) => `"${name} ${one}"`).join('|')}) found=1; words="${safe(words)}" ;;`
      }),
  )
  // bash takes = for a word of its own.
  const settings = new Map(
    commands.flatMap(({ flags: list }) =>
      list.flatMap((flag) => flag.settings.filter((one) => one.values.length > 0).map((one) => [one.name, one.values])),
    ),
  )
  const afterSign = [...settings].map(([name, words]) => `      ${safe([name])}) words="${safe(words)}" ;;`)
  const args = commands
    .filter((command) => command.values.length > 0)
    .map((command) => `    "${command.name}") words="${safe(command.values)}" ;;`)
  const names = safe(extensions.flatMap((one) => [one, one.toUpperCase()])).replaceAll(' ', '|')
  const cases = { first, seconds, values, afterSign, flags, args }
  return bashScript(bin, { ...cases, extensions: names })
}

/** Lines of the script's `case` statements. */
interface BashCases {
  readonly first: readonly string[]
  readonly seconds: readonly string[]
  readonly values: readonly string[]
  /** Of options, by their names. */
  readonly afterSign: readonly string[]
  readonly flags: readonly string[]
  readonly args: readonly string[]
  /** Of image files, separated by `|`. */
  readonly extensions: string
}

/** `subformat=dynamic` and the like, or `subformat=` where any value may follow. */
function settingWords({ name, values }: CompletedCommand['flags'][number]['settings'][number]): string[] {
  return values.length === 0 ? [`${name}=`] : values.map((value) => `${name}=${value}`)
}

/** What the script asks while it completes. */
function bashHelpers(bin: string, extensions: string): string {
  return `# bash completion of ${bin}: made by "${bin} autocomplete bash"
# What was typed, without quotes and backslashes.
_${bin}_plain() {
  local quotes='["'"'"']'
  case "$1" in \\'*|\\"*) REPLY="\${1#?}"; REPLY="\${REPLY%$quotes}" ;; *) REPLY="\${1//\\\\/}" ;; esac
}
# IMAGE@ is completed by the numbers of its partitions. bash takes @ for the end of a word, zsh does not.
_${bin}_parts() {
  ${bin} partition list "$1" --json 2>/dev/null | ${numbersOnly}
}
# An empty word is completed by image files and folders; one that was begun, by all files.
_${bin}_images() {
  local one
  while IFS= read -r one; do
    [ -n "$one" ] && COMPREPLY+=("$one")
  done < <(
    type shopt >/dev/null 2>&1 && shopt -s extglob
    compgen -f -X '!*.@(${extensions})'
    compgen -d
  )
  type compopt >/dev/null 2>&1 && compopt -o filenames
}
# Words that begin as $cur does; what ends with = is gone on with.
_${bin}_words() {
  COMPREPLY=($(compgen -W "$1" -P "$2" -- "$cur"))
  case "\${COMPREPLY[*]}" in *=) type compopt >/dev/null 2>&1 && compopt -o nospace ;; esac
}
`
}

/** Which command is typed; its name itself is completed here. */
function bashCommand(bin: string, { first, seconds }: BashCases): string {
  return `_${bin}() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" prev="\${COMP_WORDS[COMP_CWORD-1]}" command="" words="" flags="" found=""
  local at=1 before="" REPLY=""
  COMPREPLY=()
  # help and which take the name of a command.
  case "\${COMP_WORDS[1]}" in help|which) [ "$COMP_CWORD" -gt 1 ] && at=2 ;; esac
  if [ "$COMP_CWORD" -eq "$at" ]; then
    case "$cur" in -*) words="--help --version" ;; *) words="${safe(first)}" ;; esac
    _${bin}_words "$words"
    return
  fi
  command="\${COMP_WORDS[at]}"
  case "$command" in
${seconds.join('\n')}
  esac
  if [ -n "$words" ]; then
    if [ "$COMP_CWORD" -eq "$((at + 1))" ]; then _${bin}_words "$words"; return; fi
    command="$command \${COMP_WORDS[at+1]}"
    words=""
  fi
  [ "$at" -eq 1 ] || return
`
}

/** Values of flags and of options. */
function bashValues(bin: string, { values, afterSign }: BashCases): string {
  return `  # --flag=value comes in three words, or in one.
  if [ "$cur" = "=" ]; then
    cur=""
    found=1
  elif [ "$prev" = "=" ]; then
    prev="\${COMP_WORDS[COMP_CWORD-2]}"
    found=1
  fi
  case "$found$cur" in --*=*) prev="\${cur%%=*}"; before="$prev="; cur="\${cur#*=}" ;; esac
  if [ -n "$found" ]; then
    case "$prev" in
${afterSign.join('\n')}
    esac
  fi
  if [ -n "$words" ]; then _${bin}_words "$words"; return; fi
  found=""
  case "$command $prev" in
${values.join('\n')}
  esac
  if [ -n "$found" ]; then _${bin}_words "$words" "$before"; return; fi
`
}

/** Partitions, names of flags, and arguments. */
function bashRest(bin: string, { flags, args }: BashCases): string {
  return `  case "$cur" in
    @)
      _${bin}_plain "$prev"
      [ -f "$REPLY" ] && COMPREPLY=($(_${bin}_parts "$REPLY"))
      return ;;
    *@*)
      _${bin}_plain "\${cur%@*}"
      [ -f "$REPLY" ] || return
      local part number="\${cur##*@}"
      for part in $(_${bin}_parts "$REPLY"); do
        case "$part" in "$number"*) COMPREPLY+=("$REPLY@$part") ;; esac
      done
      type compopt >/dev/null 2>&1 && compopt -o filenames
      return ;;
  esac
  if [ "$prev" = "@" ]; then
    _${bin}_plain "\${COMP_WORDS[COMP_CWORD-2]}"
    _${bin}_words "$(_${bin}_parts "$REPLY")"
    return
  fi
  case "$cur" in
    -*)
      case "$command" in
${flags.map((line) => `  ${line}`).join('\n')}
      esac
      _${bin}_words "$flags --help"
      return ;;
  esac
  case "$command" in
${args.join('\n')}
  esac
  if [ -z "$words$cur" ]; then _${bin}_images; return; fi
  _${bin}_words "$words"
`
}

function bashScript(bin: string, cases: BashCases): string {
  const parts = [bashCommand(bin, cases), bashValues(bin, cases), bashRest(bin, cases)]
  return `${bashHelpers(bin, cases.extensions)}${parts.join('')}}
# Where nothing is known to complete, files are.
complete -o bashdefault -o default -F _${bin} ${bin}
`
}

/** The same for zsh. */
export function zshCompletion(
  bin: string,
  commands: readonly CompletedCommand[],
  extensions: readonly string[],
): string {
  return `autoload -U +X bashcompinit && bashcompinit\n${bashCompletion(bin, commands, extensions)}`
}

/** The same for fish, with summaries. */
export function fishCompletion(
  bin: string,
  commands: readonly CompletedCommand[],
  extensions: readonly string[],
): string {
  const quoted = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`
  const lines = [
    `# fish completion of ${bin}: made by "${bin} autocomplete fish"`,
    `function __${bin}_parts`,
    '  set -l typed (commandline -ct)',
    // A quote that is still open is no escape that fish can undo.
    "  set -l plain (string unescape -- $typed; or string replace -r '^[\\'\"]' '' -- $typed)",
    "  set -l image (string replace -r '@[^@]*$' '' -- $plain)",
    '  test -f "$image"; or return',
    `  for part in (${bin} partition list $image --json 2>/dev/null | ${numbersOnly})`,
    '    echo $image@$part',
    '  end',
    'end',
    `complete -c ${bin} -n "string match -q '*@*' -- (commandline -ct)" -a '(__${bin}_parts)'`,
    `complete -c ${bin} -n 'not __fish_use_subcommand' -k -a '(__fish_complete_suffix ${extensions
      .flatMap((one) => [one, one.toUpperCase()])
      .filter((one) => word.test(one))
      .map((one) => `.${one}`)
      .join(' ')})'`,
  ]
  for (const { name, summary, flags, values } of commands) {
    const [first = '', second] = name.split(' ')
    const seen = [first, ...(second === undefined ? [] : [second])].map((one) => `__fish_seen_subcommand_from ${one}`)
    if (second === undefined)
      lines.push(`complete -c ${bin} -n __fish_use_subcommand -f -a ${first} -d ${quoted(summary)}`)
    else {
      lines.push(`complete -c ${bin} -n __fish_use_subcommand -f -a ${first}`)
      lines.push(`complete -c ${bin} -n ${quoted(seen[0] ?? '')} -f -a ${second} -d ${quoted(summary)}`)
    }
    const condition = quoted(seen.join('; and '))
    for (const flag of flags) {
      const short = flag.char === undefined ? '' : ` -s ${flag.char}`
      const words = [...flag.values, ...flag.settings.flatMap(settingWords)]
      const value = !flag.takesValue ? '' : words.length > 0 ? ` -x -a ${quoted(safe(words))}` : ' -r'
      lines.push(`complete -c ${bin} -n ${condition} -l ${flag.name}${short}${value} -d ${quoted(flag.summary)}`)
    }
    if (values.length > 0) lines.push(`complete -c ${bin} -n ${condition} -f -a ${quoted(safe(values))}`)
  }
  const names = commands.flatMap(({ name }) => name.split(' '))
  for (const asking of ['help', 'which'])
    lines.push(
      `complete -c ${bin} -n '__fish_seen_subcommand_from ${asking}' -f -a ${quoted(safe([...new Set(names)]))}`,
    )
  return `${lines.join('\n')}\n`
}
