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
  const first = [...new Set(commands.map(({ name }) => name.split(' ')[0] ?? ''))]
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
        return `    ${names.map((one) => `"${name} ${one}"`).join('|')}) found=1; words="${safe(flag.values)}" ;;`
      }),
  )
  const args = commands
    .filter((command) => command.values.length > 0)
    .map((command) => `    "${command.name}") words="${safe(command.values)}" ;;`)
  return bashScript(bin, { first, seconds, values, flags, args, extensions: safe(extensions).replaceAll(' ', '|') })
}

/** Lines of the script's `case` statements. */
interface BashCases {
  readonly first: readonly string[]
  readonly seconds: readonly string[]
  readonly values: readonly string[]
  readonly flags: readonly string[]
  readonly args: readonly string[]
  /** Of image files, separated by `|`. */
  readonly extensions: string
}

/** What the script asks while it completes. */
function bashHelpers(bin: string, extensions: string): string {
  return `# bash completion of ${bin}: made by "${bin} autocomplete bash"
# IMAGE@ is completed by the numbers of its partitions. bash takes @ for the end of a word, zsh does not.
_${bin}_parts() {
  ${bin} partition list "$1" --json 2>/dev/null | ${numbersOnly}
}
# An empty word is completed by image files and folders; one that was begun, by all files.
_${bin}_images() {
  local IFS=$'\\n'
  type shopt >/dev/null 2>&1 && shopt -s extglob
  COMPREPLY=($(compgen -f -X '!*.@(${extensions})'; compgen -d))
  type compopt >/dev/null 2>&1 && compopt -o filenames
}
`
}

function bashScript(bin: string, { first, seconds, values, flags, args, extensions }: BashCases): string {
  return `${bashHelpers(bin, extensions)}_${bin}() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" prev="\${COMP_WORDS[COMP_CWORD-1]}" command="" words="" flags="" found=""
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    case "$cur" in -*) words="--help --version" ;; *) words="${safe([...first, 'help'])}" ;; esac
    COMPREPLY=($(compgen -W "$words" -- "$cur"))
    return
  fi
  command="\${COMP_WORDS[1]}"
  case "$command" in
${seconds.join('\n')}
  esac
  if [ -n "$words" ]; then
    if [ "$COMP_CWORD" -eq 2 ]; then COMPREPLY=($(compgen -W "$words" -- "$cur")); return; fi
    command="$command \${COMP_WORDS[2]}"
    words=""
  fi
  # --flag=value comes in three words.
  if [ "$cur" = "=" ]; then cur=""; elif [ "$prev" = "=" ]; then prev="\${COMP_WORDS[COMP_CWORD-2]}"; fi
  case "$command $prev" in
${values.join('\n')}
  esac
  if [ -n "$found" ]; then COMPREPLY=($(compgen -W "$words" -- "$cur")); return; fi
  case "$cur" in
    @) [ -f "$prev" ] && COMPREPLY=($(_${bin}_parts "$prev")); return ;;
    *@*)
      [ -f "\${cur%@*}" ] || return
      COMPREPLY=($(compgen -W "$(_${bin}_parts "\${cur%@*}")" -P "\${cur%@*}@" -- "\${cur##*@}"))
      return ;;
  esac
  if [ "$prev" = "@" ]; then
    COMPREPLY=($(compgen -W "$(_${bin}_parts "\${COMP_WORDS[COMP_CWORD-2]}")" -- "$cur"))
    return
  fi
  case "$cur" in
    -*)
      case "$command" in
${flags.map((line) => `  ${line}`).join('\n')}
      esac
      COMPREPLY=($(compgen -W "$flags --help" -- "$cur"))
      return ;;
  esac
  case "$command" in
${args.join('\n')}
  esac
  if [ -z "$words$cur" ]; then _${bin}_images; return; fi
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
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
    "  set -l image (string replace -r '@[^@]*$' '' -- (commandline -ct))",
    '  test -f "$image"; or return',
    `  for part in (${bin} partition list $image --json 2>/dev/null | ${numbersOnly})`,
    '    echo $image@$part',
    '  end',
    'end',
    `complete -c ${bin} -n "string match -q '*@*' -- (commandline -ct)" -a '(__${bin}_parts)'`,
    `complete -c ${bin} -n 'not __fish_use_subcommand' -k -a '(__fish_complete_suffix ${extensions
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
      const value = !flag.takesValue ? '' : flag.values.length > 0 ? ` -x -a ${quoted(safe(flag.values))}` : ' -r'
      lines.push(`complete -c ${bin} -n ${condition} -l ${flag.name}${short}${value} -d ${quoted(flag.summary)}`)
    }
    if (values.length > 0) lines.push(`complete -c ${bin} -n ${condition} -f -a ${quoted(safe(values))}`)
  }
  return `${lines.join('\n')}\n`
}
